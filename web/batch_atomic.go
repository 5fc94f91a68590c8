package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/jobs"
)

// atomicMistakes bounds the items that an answer names.
const atomicMistakes = 100

// submitAtomic submits all jobs of a batch or none. It answers 200 with the results of a batch, in whatever form that
// came, or one problem whose items say what is wrong with which.
func (s *Server) submitAtomic(c *fiber.Ctx, kind *jobBatch) error {
	body, err := s.openBody(c, arrayBody)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err //nolint:wrapcheck // a problem already
	}
	items, err := atomicItems(data, s.cfg.MaxInput+bodyExtra)
	if err != nil {
		return err
	}
	if len(items) > jobs.MaxAtomic {
		return problemf(CodeBodyTooLarge, "An atomic batch holds at most %d jobs.", jobs.MaxAtomic)
	}
	results, refused := make([]batchResult, len(items)), false
	subs := make([]jobs.Submission, len(items))
	for i, item := range items {
		results[i].Index = i
		if subs[i], err = kind.read(item); err != nil {
			results[i].Error, refused = problemOf(err), true
		}
	}
	if refused {
		return batchRefused(results)
	}
	answers, err := s.cfg.Jobs.SubmitAll(c.UserContext(), subs)
	if err != nil && !errors.Is(err, jobs.ErrNotAlone) {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	for i, answer := range answers {
		switch {
		case answer.Err == nil:
			results[i].ID, results[i].State = answer.Job.ID, answer.Job.State
			results[i].Replayed, results[i].Outcome = answer.Job.Replayed, answer.Job.Outcome
		case !errors.Is(answer.Err, jobs.ErrNotAlone):
			results[i].Error = problemOf(submitProblem(answer.Err, subs[i].Input))
		}
	}
	if err != nil {
		return batchRefused(results)
	}
	return writeJSON(c, http.StatusOK, results)
}

// atomicItems splits an array, or lines.
func atomicItems(data []byte, longest int) ([]json.RawMessage, error) {
	var items []json.RawMessage
	if first := bytes.TrimSpace(data); len(first) == 0 || first[0] != '{' {
		return items, decodeJSON(data, &items)
	}
	for in := newLines(bytes.NewReader(data), longest); ; {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return items, nil
		case err != nil:
			return nil, err
		}
		items = append(items, bytes.Clone(line))
	}
}

// batchRefused is the problem of a batch of which nothing was submitted, with the first items that are to blame.
func batchRefused(results []batchResult) *Problem {
	problem := newProblem(CodeBatchRefused, "")
	for _, result := range results {
		if result.Error != nil && len(problem.Items) < atomicMistakes {
			problem.Items = append(problem.Items, BatchItem{Index: result.Index, Error: result.Error})
		}
	}
	return problem
}
