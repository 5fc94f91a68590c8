package apiclient

import (
	"context"
	"errors"
	"net/http"
)

// ErrUnfinished is of a job that has no result yet.
var ErrUnfinished = errors.New("the job has not finished")

// Output is what a job returned, as it is.
type Output struct {
	ContentType string // application/json unless the function returned bytes
	Data        []byte
}

// Output reads a completed job's result. ErrUnfinished while there is none yet.
func (c *Client) Output(ctx context.Context, id int64) (Output, error) {
	var output Output
	status, err := c.do(ctx, call{
		method: http.MethodGet, path: jobPath(id) + "/output", header: http.Header{"Accept": {"*/*"}}, repeat: true,
	}, &output)
	if err == nil && status == http.StatusAccepted {
		err = ErrUnfinished
	}
	if err != nil {
		return Output{}, err
	}
	return output, nil
}
