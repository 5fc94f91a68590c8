package web

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// submitBatch submits many jobs.
func (s *Server) submitBatch(c *fiber.Ctx) error {
	kind := &jobBatch{jobs: s.cfg.Jobs, who: identityOf(c)}
	q := newQuery(c)
	atomic := q.flag("atomic")
	if err := q.err(); err != nil {
		return err
	}
	if atomic {
		return s.submitAtomic(c, kind)
	}
	return answerBatch[jobs.Submission, batchResult](s, c, kind, s.cfg.MaxInput+bodyExtra)
}

// jobBatch makes a job of each line.
type jobBatch struct {
	jobs *jobs.Service
	who  auth.Identity
}

// batchResult is what became of a submission.
type batchResult struct {
	Index    int        `json:"index"`
	ID       int64      `json:"id,string,omitempty"`
	State    jobs.State `json:"state,omitempty"`
	Replayed bool       `json:"replayed,omitempty"`
	// Outcome says that an earlier job was answered with, and why.
	Outcome jobs.Outcome `json:"outcome,omitempty"`
	Error   *Problem     `json:"error,omitempty"`
}

func (b *jobBatch) read(line []byte) (jobs.Submission, error) {
	var said submission
	if err := decodeJSON(line, &said); err != nil {
		return jobs.Submission{}, err
	}
	if !b.who.Allows(auth.ScopeJobsSubmit, said.Function) {
		return jobs.Submission{}, forbidden(auth.ScopeJobsSubmit, said.Function)
	}
	return said.job(b.who) //nolint:wrapcheck // mapped by problemOf
}

func (b *jobBatch) insert(ctx context.Context, group []batchItem[jobs.Submission]) ([][]batchResult, error) {
	subs := make([]jobs.Submission, len(group))
	for i, item := range group {
		subs[i] = item.value
	}
	answers, err := b.jobs.SubmitMany(ctx, subs)
	if err == nil {
		err = outage(answers)
	}
	results := make([][]batchResult, len(group))
	for i, answer := range answers {
		result := batchResult{Index: group[i].index}
		if answer.Err != nil {
			result.Error = problemOf(submitProblem(answer.Err, subs[i].Input))
		} else {
			result.ID, result.State = answer.Job.ID, answer.Job.State
			result.Replayed, result.Outcome = answer.Job.Replayed, answer.Job.Outcome
		}
		results[i] = []batchResult{result}
	}
	return results, err //nolint:wrapcheck // mapped by problemOf
}

func (b *jobBatch) refuse(index int, why *Problem) batchResult {
	return batchResult{Index: index, Error: why}
}

func (b *jobBatch) accepted(r batchResult) bool { return r.ID != 0 }

func (b *jobBatch) count(jobs.Submission) int { return 1 }

// outage is the error of a group of which nothing could be inserted for a reason that is not the submissions':
// the next group would only wait for the same.
func outage(answers []jobs.Result) error {
	for _, answer := range answers {
		if answer.Err == nil || problemOf(answer.Err).Status < http.StatusInternalServerError {
			return nil
		}
	}
	return answers[0].Err
}
