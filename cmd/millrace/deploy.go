package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/apiclient"
)

// deployCmd deploys a folder.
type deployCmd struct {
	clientFlags
	jsonFlag
	Dir    string `arg:"" type:"existingdir" help:"Folder of functions: DIR/orders/charge.ts is the function orders.charge."`
	Prune  bool   `help:"Remove deployed functions that are not in the folder."`
	DryRun bool   `short:"n" help:"Show what would change and change nothing."`
}

// Run is called by kong. It asks the server what would change, shows it, and then deploys.
func (d *deployCmd) Run(ctx context.Context, out *streams) error {
	deployment, err := readFolder(d.Dir)
	if err != nil {
		return d.diagnose(out, err)
	}
	err = d.with(func(client *apiclient.Client) error {
		if d.Prune {
			if deployment.Remove, err = surplus(ctx, client, deployment); err != nil {
				return err
			}
		}
		return d.deploy(ctx, client, out, deployment)
	})
	return d.diagnose(out, err)
}

func (d *deployCmd) deploy(ctx context.Context, client *apiclient.Client, out *streams, deployment apiclient.Deployment) error {
	if len(deployment.Functions)+len(deployment.Remove) == 0 {
		return fmt.Errorf("there is no function in %s: a function is a file such as hello.ts or orders/charge.js", d.Dir)
	}
	deployment.DryRun = true
	plan, err := client.Deploy(ctx, deployment)
	if err != nil {
		return fmt.Errorf("check %s: %w", d.Dir, err)
	}
	if !d.JSON {
		if err := printPlan(out, plan); err != nil {
			return err
		}
	}
	changes := planned(plan)
	if !d.DryRun && changes > 0 {
		deployment.DryRun = false
		if plan, err = client.Deploy(ctx, deployment); err != nil {
			return fmt.Errorf("deploy %s: %w", d.Dir, err)
		}
	}
	switch {
	case d.JSON:
		return out.printJSON(plan)
	case changes == 0:
		out.sayf("Nothing to deploy.")
	case d.DryRun:
		out.sayf("%s. Nothing was changed; leave --dry-run out to deploy.", count(changes, "change"))
	default:
		out.sayf("Deployed: %s.", count(changes, "change"))
	}
	return nil
}

// readFolder scans a folder as the dev server does.
func readFolder(dir string) (apiclient.Deployment, error) {
	scanned, err := functions.ScanFolder(dir)
	if err != nil {
		return apiclient.Deployment{}, err //nolint:wrapcheck // shown by diagnose
	}
	var deployment apiclient.Deployment
	for _, source := range scanned.Functions {
		files := make(map[string]string, len(source.Files))
		for path, content := range source.Files {
			files[path] = string(content)
		}
		deployment.Functions = append(deployment.Functions, apiclient.Source{
			Name: source.Name, Runtime: source.Runtime, Entry: source.Entry, Files: files,
		})
	}
	return deployment, nil
}

// surplus names the deployed functions that the folder lacks. Those that are part of the server's program stay.
func surplus(ctx context.Context, client *apiclient.Client, deployment apiclient.Deployment) ([]string, error) {
	live, err := client.Functions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	var names []string
	for _, function := range live {
		kept := slices.ContainsFunc(deployment.Functions, func(s apiclient.Source) bool { return s.Name == function.Name })
		if !kept && function.Runtime != "native" {
			names = append(names, function.Name)
		}
	}
	return names, nil
}

func planned(plan apiclient.DeployResult) int {
	changes := len(plan.Removed)
	for _, f := range plan.Functions {
		if f.Changed {
			changes++
		}
	}
	return changes
}

func printPlan(out *streams, plan apiclient.DeployResult) error {
	t := out.table("FUNCTION", "CHANGE", "VERSION")
	for _, f := range plan.Functions {
		switch {
		case !f.Changed:
			t.row(f.Name, "unchanged", f.Version)
		case f.Previous == "":
			t.row(f.Name, "new", f.Version)
		default:
			t.row(f.Name, "changed", f.Previous+" → "+f.Version)
		}
	}
	for _, name := range plan.Removed {
		t.row(name, "removed", "-")
	}
	return t.flush()
}

// diagnose prints mistakes in sources as file:line:column: message, which editors and terminals turn into links,
// whether the folder's scan or the server found them.
func (d *deployCmd) diagnose(out *streams, err error) error {
	var lines []string
	var build *functions.BuildError
	var problem *apiclient.Problem
	switch {
	case errors.As(err, &build):
		for _, diagnostic := range build.Diagnostics {
			lines = append(lines, diagnostic.String())
		}
	case errors.As(err, &problem) && len(problem.Diagnostics) > 0:
		for _, diagnostic := range problem.Diagnostics {
			lines = append(lines, diagnostic.String())
		}
	default:
		return err
	}
	for _, line := range lines {
		out.sayf("%s", clean(line))
	}
	out.sayf("millrace: %s in %s. Nothing was deployed.", count(len(lines), "mistake"), d.Dir)
	return errReported
}
