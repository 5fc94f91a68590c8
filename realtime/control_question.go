package realtime

import (
	"context"
	_ "embed" // the statements
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/control_answer.sql
	sqlControlAnswer string
	//go:embed sql/control_answers.sql
	sqlControlAnswers string
	//go:embed sql/control_alive.sql
	sqlControlAlive string
)

const (
	// questionPatience is how long an answer may take: longer than hubs that cannot hear notifications need to
	// find the question.
	questionPatience = 3 * time.Second
	// questionKept is how long a question is worth answering.
	questionKept = 10 * time.Second
	answerPoll   = 250 * time.Millisecond
	// answersAtOnce and answersWaiting bound the work for other hubs' questions.
	answersAtOnce, answersWaiting = 2, 64
)

// questions wakes those who wait for answers. A question is a command, with the id of which the hubs that carry it
// out store a row each and send a notification.
type questions struct {
	mu   sync.Mutex
	open map[string]chan struct{}
}

func (q *questions) begin(id string) (answered <-chan struct{}, end func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = make(map[string]chan struct{})
	}
	c := make(chan struct{}, 1)
	q.open[id] = c
	return c, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.open, id)
	}
}

func (q *questions) answered(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.open[id]; c != nil {
		signal(c)
	}
}

// alive returns the other hubs.
func (c *control) alive(ctx context.Context, l *lease) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	rows, err := c.pool.Query(ctx, sqlControlAlive, l.id, l.lasts.Seconds())
	if err != nil {
		return nil, fmt.Errorf("look for the other nodes: %w", err)
	}
	hubs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for the other nodes: %w", err)
	}
	return hubs, nil
}

// askOthers sends a question to the hubs but the one that asks, and returns what they answer, and how many did not
// before the time was over.
func (c *control) askOthers(ctx context.Context, own *lease, kind string, payload any) (answers map[int64][]byte, missing int, err error) {
	others, err := c.alive(ctx, own)
	if err != nil || len(others) == 0 {
		return nil, 0, err
	}
	answers, err = c.ask(ctx, kind, payload, len(others))
	for _, hub := range others {
		if _, answered := answers[hub]; !answered {
			missing++
		}
	}
	return answers, missing, err
}

// ask sends a question and returns the answers that came until count hubs had answered, or the time was over.
func (c *control) ask(ctx context.Context, kind string, payload any, count int) (answers map[int64][]byte, err error) {
	id, err := c.send(ctx, kind, payload, questionKept)
	if err != nil {
		return nil, err
	}
	answered, end := c.questions.begin(id)
	defer end()
	late := time.NewTimer(questionPatience)
	defer late.Stop()
	answers = make(map[int64][]byte, count)
	for over := false; ; {
		if err := c.fetch(ctx, id, answers); err != nil || len(answers) >= count || over {
			return answers, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own context
		case <-late.C:
			over = true
		case <-answered:
		case <-time.After(answerPoll): // a notification may have been lost, or come before it was waited for
		}
	}
}

func (c *control) fetch(ctx context.Context, id string, answers map[int64][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	rows, err := c.pool.Query(ctx, sqlControlAnswers, id)
	if err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	var hub int64
	var answer []byte
	_, err = pgx.ForEachRow(rows, []any{&hub, &answer}, func() error {
		answers[hub] = answer
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	return nil
}

// answerQuestion answers another hub with what find returns, away from the goroutine that carries commands out.
func (h *Hub) answerQuestion(c command, find func() any) {
	answer := func() {
		text, err := json.Marshal(find())
		if err == nil {
			err = h.control.answer(context.Background(), c.id, h.lease, text)
		}
		if err != nil {
			h.log.Warn("realtime: a question of another node was not answered", "err", err)
		}
	}
	if !h.answers.do(answersAtOnce, answersWaiting, h.spawn, answer) {
		h.log.Warn("realtime: more questions of other nodes than can be answered")
	}
}

// answer stores this hub's answer to a question.
func (c *control) answer(ctx context.Context, question string, l *lease, answer []byte) error {
	ctx, cancel := context.WithTimeout(ctx, questionPatience)
	defer cancel()
	if _, err := c.pool.Exec(ctx, sqlControlAnswer, question, l.id, answer); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("answer a question: %w", err)
	}
	return nil
}
