package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type functionsPauseCmd struct {
	clientFlags
	Name string `arg:"" help:"Name of the function."`
}

// Run is called by kong.
func (p *functionsPauseCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		at, err := client.PauseFunction(ctx, p.Name)
		if err != nil {
			return fmt.Errorf("pause function %s: %w", p.Name, err)
		}
		return out.printf("%s  %s", p.Name, pauseState(&at, time.Now()))
	})
}

type functionsResumeCmd struct {
	clientFlags
	Name string `arg:"" help:"Name of the function."`
}

// Run is called by kong.
func (r *functionsResumeCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		if err := client.ResumeFunction(ctx, r.Name); err != nil {
			return fmt.Errorf("resume function %s: %w", r.Name, err)
		}
		return out.printf("%s  %s", r.Name, pauseState(nil, time.Now()))
	})
}
