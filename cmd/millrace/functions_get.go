package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type functionsGetCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the function."`
}

// Run is called by kong.
func (g *functionsGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		f, err := client.Function(ctx, g.Name)
		if err != nil {
			return fmt.Errorf("read function %s: %w", g.Name, err)
		}
		if g.JSON {
			return out.printJSON(f)
		}
		now := time.Now()
		t := &table{writer: newTabWriter(out.out)}
		t.row("function", f.Name)
		t.row("runtime", f.Runtime)
		t.row("version", dash(f.Version))
		t.row("deployed", moment(&f.UpdatedAt, now))
		t.row("state", pauseState(f.PausedAt, now))
		return t.flush()
	})
}
