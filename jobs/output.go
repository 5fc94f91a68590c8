package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/output_store.sql
	outputStoreSQL string
	outputReadSQL  = `select content_type, data from millrace.job_output where job_id = $1`
)

const (
	// outputRetry is the wait before what Postgres did not take is offered again.
	outputRetry    = 200 * time.Millisecond
	maxContentType = 255 // bytes
	anyBytes       = "application/octet-stream"
)

// Bytes is a result that is no JSON: an image, a document, an archive. It is as large as an output may be. In the job's own
// Output a BytesReference stands in its place; Service.Output reads it.
type Bytes struct {
	ContentType string // a media type, such as image/png; empty means application/octet-stream
	Data        []byte // not nil, if there is a result of bytes at all
}

// BytesReference is the Output of a job whose result is bytes.
type BytesReference struct {
	Bytes BytesInfo `json:"$bytes"`
}

// BytesInfo describes a result of bytes.
type BytesInfo struct {
	ContentType string `json:"content_type"`
	Size        int    `json:"size"`
}

// Output reads a completed job's result as bytes: those that its function returned, or its JSON as application/json.
//
// Errors: ErrNotFound, ErrState when the job has not completed.
func (s *Service) Output(ctx context.Context, id int64) (Bytes, error) {
	job, err := s.Get(ctx, id)
	if err != nil {
		return Bytes{}, err
	}

	if job.State != StateCompleted {
		return Bytes{}, fmt.Errorf("job %d is %s: %w", id, job.State, ErrState)
	}

	return s.OutputOf(ctx, &job)
}

// OutputOf is Output of a job that was just read, and has completed.
func (s *Service) OutputOf(ctx context.Context, job *Job) (Bytes, error) {
	output := Bytes{ContentType: "application/json", Data: job.Output}
	if len(output.Data) == 0 {
		output.Data = []byte("null")
	}

	var reference BytesReference
	isReference := json.Unmarshal(job.Output, &reference) == nil && reference.Bytes.ContentType != ""
	if !isReference {
		return output, nil
	}

	// A function may return JSON that looks like a reference: then there is no row.
	err := s.pool.QueryRow(ctx, outputReadSQL, job.ID).Scan(&output.ContentType, &output.Data)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Bytes{}, fmt.Errorf("read the output of job %d: %w", job.ID, err)
	}

	return output, nil
}

// check is what is wrong with a result of bytes, nil when nothing is.
func (b *Bytes) check(limit int) *Failure {
	if b.ContentType == "" {
		b.ContentType = anyBytes
	}

	switch _, _, err := mime.ParseMediaType(b.ContentType); {
	case err != nil || len(b.ContentType) > maxContentType || !printable(b.ContentType):
		return &Failure{Code: CodeInvalidOutput, Message: fmt.Sprintf("%.100q is no media type such as image/png", b.ContentType)}
	case len(b.Data) > limit:
		return &Failure{
			Code:    CodeInvalidOutput,
			Message: fmt.Sprintf("the output is %d bytes long, the limit is %d", len(b.Data), limit),
		}
	}

	return nil
}

func printable(text string) bool {
	for _, char := range []byte(text) {
		if char < ' ' || char > '~' {
			return false
		}
	}

	return true
}

// keep stores a result of bytes, as long as the attempt has time for it, and returns the output that stands for it. It comes
// before the attempt's end is recorded: an attempt that was completed has its bytes.
func (d *dispatcher) keep(ctx context.Context, a *attempt, bytes *Bytes) (json.RawMessage, *Failure) {
	if failure := bytes.check(d.maxOutput); failure != nil {
		return nil, failure
	}

	for {
		err := storeOutput(ctx, d.pool, a, d.finisher.client, bytes)
		if err == nil {
			break
		}

		if !transient(err) || ctx.Err() != nil {
			return nil, failureOf(fmt.Errorf("store the output: %w", err))
		}

		select {
		case <-ctx.Done():
		case <-time.After(outputRetry):
		}
	}

	reference, err := json.Marshal(BytesReference{BytesInfo{ContentType: bytes.ContentType, Size: len(bytes.Data)}})
	if err != nil {
		return nil, failureOf(fmt.Errorf("describe the output: %w", err))
	}

	return reference, nil
}

// storeOutput writes nothing when the row is not this attempt's any more: its end will not be recorded either.
func storeOutput(ctx context.Context, pool *pgxpool.Pool, a *attempt, client string, bytes *Bytes) error {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()

	if _, err := pool.Exec(ctx, outputStoreSQL, a.id, a.number, client, bytes.ContentType, bytes.Data); err != nil {
		return fmt.Errorf("job %d: %w", a.id, err)
	}

	return nil
}
