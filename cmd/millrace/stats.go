package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// statsCmd shows how functions do.
type statsCmd struct {
	clientFlags
	jsonFlag
	Function string        `arg:"" optional:"" help:"Name of one function; all when it is not said."`
	Since    time.Duration `default:"1h" placeholder:"TIME" help:"How far back, at most 720h. Default: ${default}."`
	Step     time.Duration `placeholder:"TIME" help:"A line for each such time, in whole minutes (of the last 24h) or hours: --step 5m."`
}

// Run is called by kong.
func (s *statsCmd) Run(ctx context.Context, out *streams) error {
	if s.Since <= 0 {
		return usagef("--since must be more than nothing, such as 1h")
	}
	return s.with(func(client *apiclient.Client) error {
		list, err := client.FunctionStats(ctx, s.Function, time.Now().Add(-s.Since), s.Step)
		if err != nil {
			return fmt.Errorf("read the statistics: %w", err)
		}
		if s.JSON {
			return out.printJSON(list)
		}
		if len(list) == 0 {
			out.sayf("No attempt ended in this time.")
			return nil
		}
		t := out.table("FUNCTION", "AT", "ATTEMPTS", "PER MINUTE", "FAILED", "WAIT P50", "WAIT P95", "RUN P50", "RUN P95")
		for i := range list {
			if f := &list[i]; s.Step == 0 {
				statsRow(t, f.Function, "", &f.FunctionNumbers)
			}
			for j := range list[i].Points {
				point := &list[i].Points[j]
				at := point.At.Local().Format("01-02 15:04") //nolint:gosmopolitan // people read their own time
				statsRow(t, list[i].Function, at, &point.FunctionNumbers)
			}
		}
		return t.flush()
	})
}

func statsRow(t *table, function, at string, n *apiclient.FunctionNumbers) {
	ms := func(value float64) string { return span(time.Duration(value * float64(time.Millisecond))) }
	t.row(function, at, strconv.FormatInt(n.Attempts, 10), strconv.FormatFloat(n.PerMinute, 'f', 1, 64),
		strconv.FormatInt(n.Failed, 10), ms(n.Wait.P50), ms(n.Wait.P95), ms(n.Run.P50), ms(n.Run.P95))
}
