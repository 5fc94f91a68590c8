package sequencer

import (
	"context"
	"fmt"
)

// Publish returns once the message is committed, or will certainly not be. The
// errors are ErrBusy, ErrOutcomeUnknown, ErrNotRunning and, when ctx ended
// first, its error together with one of the first two.
func (s *Sequencer) Publish(ctx context.Context, m Message) (Result, error) {
	answer := s.PublishMany(ctx, []Message{m})[0]
	return answer.Result, answer.Err
}

// PublishMany publishes messages in their order and returns an answer for each.
// What fits into one hand-over is one entry of the queue. The next one follows
// when that is answered; it does not if the order could not be kept.
func (s *Sequencer) PublishMany(ctx context.Context, messages []Message) []Answer {
	answers := make([]Answer, len(messages))
	if !s.Running() {
		fill(answers, ErrNotRunning)
		return answers
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	for done := 0; done < len(messages); {
		requests, weight := s.group(messages[done:])
		answers := answers[done:]
		if err := s.publishGroup(ctx, requests, weight, answers); err != nil {
			fill(answers[len(requests):], err)
			break
		}
		done += len(requests)
	}
	return answers
}

// group makes requests of as many messages as fit into one hand-over.
func (s *Sequencer) group(messages []Message) (requests []*request, weight int64) {
	largest := min(s.cfg.QueueBytes, maxHandoverBytes)
	for _, m := range messages {
		r := newRequest(m)
		if len(requests) == maxHandoverMessages || (len(requests) > 0 && weight+r.weight > largest) {
			break
		}
		requests, weight = append(requests, r), weight+r.weight
	}
	if len(requests) > 1 {
		group := s.groups.Add(1)
		for _, r := range requests {
			r.group = group
		}
	}
	return requests, weight
}

// publishGroup fills in answers. The error is for what should come after it.
func (s *Sequencer) publishGroup(ctx context.Context, requests []*request, weight int64, answers []Answer) error {
	if err := s.queue.Push(ctx, weight, requests...); err != nil {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
		fill(answers[:len(requests)], err)
		return err
	}
	if !s.Running() { // the last look at the queue may have been before the push
		s.failQueued()
	}
	var failed error
	for i, r := range requests {
		answers[i] = r.wait(ctx)
		if answers[i].Err != nil {
			failed = fmt.Errorf("%w: what comes before it is not published yet", ErrBusy)
		}
	}
	return failed
}

// wait returns the request's answer, or that ctx ended before there was one.
func (r *request) wait(ctx context.Context) Answer {
	select {
	case answer := <-r.done:
		return answer
	case <-ctx.Done():
	}
	if r.withdraw() {
		return Answer{Err: fmt.Errorf("%w: %w", ErrBusy, ctx.Err())}
	}
	select {
	case answer := <-r.done:
		return answer
	default:
		return Answer{Err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())}
	}
}

func fill(answers []Answer, err error) {
	for i := range answers {
		answers[i].Err = err
	}
}
