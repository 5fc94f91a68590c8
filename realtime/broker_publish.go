package realtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/centrifugal/centrifuge"

	"github.com/millrace-dev/millrace/realtime/internal/ephemeral"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
	"github.com/millrace-dev/millrace/realtime/internal/reader"
	"github.com/millrace-dev/millrace/realtime/internal/sequencer"
)

// Publish is part of centrifuge.Broker. The history options say nothing: the
// channel's namespace does.
func (b *broker) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	m := Message{Channel: channel, Data: data, Options: PublishOptions{
		IdempotencyKey: opts.IdempotencyKey, Version: opts.Version, VersionEpoch: opts.VersionEpoch,
		Tags: opts.Tags, Delta: opts.UseDelta,
	}}
	if size, _ := b.keep(channel); size == 0 { // as in centrifuge's brokers, these are for histories
		m.Options.Version, m.Options.VersionEpoch, m.Options.Delta = 0, "", false
	}
	outcome := b.publishAs(context.Background(), []Message{m}, opts.ClientInfo)[0]
	return centrifuge.StreamPosition(outcome.Position), outcome.Repeated, outcome.Err
}

// publishMany is a publishFunc. It returns once everything is committed (on
// ephemeral channels: notified). The errors are ErrChannelName, ErrBusy,
// ErrOutcomeUnknown and ErrNotRunning.
func (b *broker) publishMany(ctx context.Context, messages []Message) []Outcome {
	return b.publishAs(ctx, messages, nil)
}

// publishAs publishes in the name of a client, if there is one.
func (b *broker) publishAs(ctx context.Context, messages []Message, info *centrifuge.ClientInfo) []Outcome {
	outcomes := make([]Outcome, len(messages))
	plan := b.plan(messages, info, outcomes)
	var sending sync.WaitGroup
	if len(plan.records) > 0 {
		send := func() {
			for i, err := range b.send.SendMany(ctx, plan.records) {
				outcomes[plan.sent[i]].Err = publicError(err)
			}
		}
		if len(plan.writes) == 0 {
			send()
			return outcomes
		}
		sending.Go(send)
	}
	if len(plan.writes) > 0 {
		for i, answer := range b.write.PublishMany(ctx, plan.writes) {
			outcomes[plan.written[i]] = b.outcome(plan.writes[i].Channel, answer)
		}
	}
	sending.Wait()
	return outcomes
}

// publishPlan says which messages are written and which are only notified, by
// their places.
type publishPlan struct {
	writes  []sequencer.Message
	written []int
	records []*frame.Record
	sent    []int
}

// plan sorts messages and notes the outcome of those that cannot be published.
// Those of an ephemeral channel keep together, so that they keep their order: if
// one has an idempotency key, all are written.
func (b *broker) plan(messages []Message, info *centrifuge.ClientInfo, outcomes []Outcome) publishPlan {
	keyed := map[string]bool{}
	for i := range messages {
		if messages[i].Options.IdempotencyKey != "" {
			keyed[messages[i].Channel] = true
		}
	}
	var p publishPlan
	for i := range messages {
		m, o := &messages[i], &messages[i].Options
		err := ValidateChannel(m.Channel) // one bad name would spoil a batch
		var meta string
		if err == nil {
			meta, err = encodeDeltaMeta(info, o.Tags, o.Delta)
		}
		size, _ := b.keep(m.Channel)
		switch {
		case err != nil:
			outcomes[i].Err = err
		case size == 0 && !keyed[m.Channel]:
			p.records = append(p.records, &frame.Record{Kind: frame.Ephemeral, Channel: m.Channel, Meta: meta, Data: m.Data})
			p.sent = append(p.sent, i)
		default:
			p.writes = append(p.writes, sequencer.Message{
				Channel: m.Channel, Data: m.Data, Meta: meta, Key: storedKey(o.IdempotencyKey),
				Options: sequencer.Options{Version: o.Version, VersionEpoch: o.VersionEpoch, TTL: o.HistoryTTL.Seconds()},
			})
			p.written = append(p.written, i)
		}
	}
	return p
}

func (b *broker) outcome(channel string, answer sequencer.Answer) Outcome {
	if answer.Err != nil {
		return Outcome{Err: publicError(answer.Err)}
	}
	b.read.Acked(channel, reader.Position(answer.Position))
	return Outcome{PublishResult: PublishResult{
		Position: Position(answer.Position), Repeated: answer.Repeated, Skipped: answer.Skipped,
	}}
}

// storedKey is an idempotency key as it stands in the database: what is too long
// for an index or no text is replaced by its hash.
func storedKey(key string) string {
	const longest = 255
	if len(key) <= longest && utf8.ValidString(key) && !strings.Contains(key, "\x00") {
		return key
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key)))
}

// publicError translates the parts' errors into the package's own.
func publicError(err error) error {
	for _, known := range [...]struct{ inner, public error }{
		{sequencer.ErrBusy, ErrBusy}, {ephemeral.ErrBusy, ErrBusy},
		{sequencer.ErrOutcomeUnknown, ErrOutcomeUnknown}, {ephemeral.ErrOutcomeUnknown, ErrOutcomeUnknown},
		{sequencer.ErrNotRunning, ErrNotRunning}, {ephemeral.ErrNotRunning, ErrNotRunning},
	} {
		if errors.Is(err, known.inner) {
			return fmt.Errorf("%w: %w", known.public, err)
		}
	}
	return err
}
