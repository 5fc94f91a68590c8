package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs/schedules"
)

// errDryRun rolls a transaction back that was only to be tried.
var errDryRun = errors.New("dry run")

// store makes the functions live and removes others, in one transaction.
func (s *Service) store(ctx context.Context, functions []built, remove []string, dryRun bool) (DeployResult, error) {
	var result DeployResult
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		result, err = storeIn(ctx, tx, functions, remove, s.programs.routes)
		if err == nil && dryRun {
			return errDryRun
		}

		return err
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return DeployResult{}, err
	}

	return result, nil
}

// storeIn does so in a transaction. programs are the routes of the program's own consumers.
func storeIn(ctx context.Context, tx pgx.Tx, functions []built, remove []string, programs map[string]string) (DeployResult, error) {
	result := DeployResult{Functions: []Deployed{}, Removed: []string{}}
	if _, err := tx.Exec(ctx, sqlDeployLock); err != nil {
		return result, fmt.Errorf("lock the functions: %w", err)
	}

	live, err := liveVersions(ctx, tx, functions, remove)
	if err != nil {
		return result, err
	}

	digests, data := blobs(functions)
	if _, err := tx.Exec(ctx, sqlBlobInsert, digests, data); err != nil {
		return result, fmt.Errorf("store the files: %w", err)
	}

	changed := false
	for _, f := range functions {
		previous := live[f.source.Name]
		d := Deployed{Name: f.source.Name, Version: f.version, Changed: previous != f.version, Previous: previous}
		result.Functions = append(result.Functions, d)
		if !d.Changed {
			continue
		}
		changed = true
		if err := storeVersion(ctx, tx, f); err != nil {
			return result, err
		}

		if err := setLive(ctx, tx, d.Name, &d.Version); err != nil {
			return result, err
		}
	}

	for _, name := range remove {
		if _, ok := live[name]; !ok {
			continue
		}
		changed = true
		result.Removed = append(result.Removed, name)
		if err := setLive(ctx, tx, name, nil); err != nil {
			return result, err
		}
	}

	if !changed {
		return result, nil
	}

	if err := checkRoutes(ctx, tx, functions, programs); err != nil {
		return result, err
	}

	return result, notify(ctx, tx)
}

func liveVersions(ctx context.Context, tx pgx.Tx, functions []built, remove []string) (map[string]string, error) {
	all := append([]string{}, remove...)
	for _, f := range functions {
		all = append(all, f.source.Name)
	}

	rows, err := tx.Query(ctx, sqlDeployLive, all)
	if err != nil {
		return nil, fmt.Errorf("read the live versions: %w", err)
	}

	live := map[string]string{}
	var name, version string
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error { live[name] = version; return nil }); err != nil {
		return nil, fmt.Errorf("read the live versions: %w", err)
	}

	return live, nil
}

// storeVersion adds a version with its files, unless it is there: the content was deployed before.
func storeVersion(ctx context.Context, tx pgx.Tx, f built) error {
	config, err := json.Marshal(f.artifact.Config)
	if err != nil {
		return fmt.Errorf("encode the configuration of %s: %w", f.source.Name, err)
	}

	if _, err := tx.Exec(ctx, sqlFunctionInsert, f.source.Name); err != nil {
		return fmt.Errorf("add %s: %w", f.source.Name, err)
	}

	added, err := tx.Exec(ctx, sqlVersionInsert, f.source.Name, f.version, f.digest, f.source.Runtime, f.source.Entry, config,
		blobDigest(f.artifact.Code), blobDigest(f.artifact.SourceMap))
	if err != nil {
		return fmt.Errorf("add a version of %s: %w", f.source.Name, err)
	}

	if added.RowsAffected() == 0 {
		return checkSame(ctx, tx, f)
	}

	paths, contents := f.artifact.Files, make([][]byte, 0, len(f.artifact.Files))
	for _, name := range paths {
		contents = append(contents, blobDigest(f.source.Files[name]))
	}

	if _, err := tx.Exec(ctx, sqlFileInsert, f.source.Name, f.version, paths, contents); err != nil {
		return fmt.Errorf("add the files of %s: %w", f.source.Name, err)
	}

	return nil
}

// checkSame makes sure that the version of that name is the same content, not another one whose hash begins alike.
func checkSame(ctx context.Context, tx pgx.Tx, f built) error {
	var digest []byte
	if err := tx.QueryRow(ctx, sqlVersionDigest, f.source.Name, f.version).Scan(&digest); err != nil {
		return fmt.Errorf("read version %s of %s: %w", f.version, f.source.Name, err)
	}

	if !bytes.Equal(digest, f.digest) {
		return fmt.Errorf("%s has a version %s with other content: change a comment and deploy again", f.source.Name, f.version)
	}

	return nil
}

// setLive moves the live pointer, and with it the schedules that the version declares; nil removes the function.
func setLive(ctx context.Context, tx pgx.Tx, name string, version *string) error {
	if _, err := tx.Exec(ctx, sqlLiveSet, name, version); err != nil {
		return fmt.Errorf("set the live version of %s: %w", name, err)
	}

	var config runtimes.Config

	if version != nil {
		var stored []byte
		if err := tx.QueryRow(ctx, sqlVersionConfig, name, *version).Scan(&stored); err != nil {
			return fmt.Errorf("read the configuration of %s: %w", name, err)
		}

		var err error
		if config, err = decodeConfig(stored); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}

	if err := schedules.Declare(ctx, tx, name, config.ScheduleSpecs()); err != nil {
		return fmt.Errorf("keep the schedules of %s: %w", name, err)
	}

	return nil
}

// notify tells the other instances, when the transaction commits.
func notify(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, sqlDeployNotify); err != nil {
		return fmt.Errorf("notify the other instances: %w", err)
	}

	return nil
}
