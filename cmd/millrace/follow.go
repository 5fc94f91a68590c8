package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/progress"
)

// followJob shows a job's progress and log lines on stderr until it has finished.
func followJob(ctx context.Context, client *apiclient.Client, out *streams, id int64) (apiclient.Job, error) {
	view := &jobView{out: out, id: id}
	defer view.end()
	return client.Follow(ctx, id, view.show) //nolint:wrapcheck // says what was being done itself
}

// jobView writes a job's events: a bar with the lines above it on a terminal, else plain lines.
type jobView struct {
	out   *streams
	id    int64
	bar   *progress.Bar
	state apiclient.State
	last  apiclient.Progress
	lost  bool // the connection is gone
}

func (v *jobView) show(e apiclient.JobEvent) error {
	if v.lost && e.Lost == nil {
		v.lost = false
		v.line("connected again")
	}
	switch {
	case e.Lost != nil:
		if !v.lost {
			v.line(fmt.Sprintf("connection lost (%s), trying again; the job goes on", clean(e.Lost.Error())))
		}
		v.lost = true
	case e.Line != nil:
		v.line(formatLog(*e.Line))
	case e.Progress != nil:
		v.progress(*e.Progress)
	case e.Job != nil:
		v.change(*e.Job)
	}
	return nil
}

func (v *jobView) change(job apiclient.Job) {
	if job.State != v.state && !job.State.Finished() {
		text := fmt.Sprintf("job %d is %s", job.ID, job.State)
		if job.State == apiclient.StateRetrying && job.Error != nil {
			text += fmt.Sprintf(" (attempt %d of %d failed: %s: %s)", job.Attempt, job.MaxAttempts, job.Error.Code, clean(job.Error.Message))
		}
		v.line(text)
	}
	v.state = job.State
	if job.Progress != nil {
		v.progress(*job.Progress)
	}
}

func (v *jobView) progress(p apiclient.Progress) {
	if p.Percent == v.last.Percent && p.Message == v.last.Message {
		return
	}
	v.last = p
	if !isTerminal(v.out.err) {
		v.out.sayf("%3.0f %%  %s", p.Percent, clean(p.Message))
		return
	}
	if v.bar == nil {
		v.bar = progress.New(v.out.err, fmt.Sprintf("job %d", v.id), 100)
	}
	v.bar.Set(int64(p.Percent), clean(p.Message))
}

func (v *jobView) line(text string) {
	if v.bar != nil {
		v.bar.Println(text)
		return
	}
	v.out.sayf("%s", text)
}

func (v *jobView) end() {
	if v.bar != nil {
		v.bar.End()
	}
}

func formatLog(line apiclient.LogLine) string {
	text := fmt.Sprintf("%s %-5s %s", line.At.Local().Format(time.TimeOnly), line.Level, clean(line.Message)) //nolint:gosmopolitan // people read their own time
	if len(line.Fields) > 0 && string(line.Fields) != "null" {
		text += " " + clean(string(line.Fields))
	}
	return text
}
