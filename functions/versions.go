package functions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// List returns every function that can be called, by name.
func (s *Service) List(ctx context.Context) ([]Function, error) {
	if err := s.live.refresh(ctx); err != nil {
		return nil, fmt.Errorf("list the functions: %w", err)
	}

	list := s.live.all()
	for _, f := range s.native {
		list = append(list, f.function)
	}
	slices.SortFunc(list, func(a, b Function) int { return cmp.Compare(a.Name, b.Name) })

	return list, nil
}

// Get returns a function, or ErrUnknownFunction.
func (s *Service) Get(ctx context.Context, name string) (Function, error) {
	if f, ok := s.native[name]; ok {
		return f.function, nil
	}

	if err := s.live.refresh(ctx); err != nil {
		return Function{}, fmt.Errorf("get %s: %w", name, err)
	}

	return s.live.get(ctx, name)
}

// Versions returns what was ever deployed under a name, the newest first, also after the function was removed.
// ErrUnknownFunction if that is nothing.
func (s *Service) Versions(ctx context.Context, name string) ([]Version, error) {
	if s.isNative(name) {
		return []Version{{Version: nativeVersion, Live: true, CreatedAt: s.started}}, nil
	}

	rows, err := s.pool.Query(ctx, sqlVersionList, name)
	if err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", name, err)
	}

	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Version])
	if err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", name, err)
	}

	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnknownFunction, name)
	}

	return list, nil
}

// Source returns the files of a version, as they were deployed. ErrUnknownVersion if there is no such version.
func (s *Service) Source(ctx context.Context, name, version string) (Source, error) {
	rows, err := s.pool.Query(ctx, sqlVersionFiles, name, version)
	if err != nil {
		return Source{}, fmt.Errorf("read the files of %s: %w", name, err)
	}

	source := Source{Name: name, Files: map[string][]byte{}}
	var path string
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&source.Runtime, &source.Entry, &path, &data}, func() error {
		source.Files[path] = slices.Clone(data)
		return nil
	})
	if err != nil {
		return Source{}, fmt.Errorf("read the files of %s: %w", name, err)
	}

	if len(source.Files) == 0 {
		return Source{}, fmt.Errorf("%w: %s %s", ErrUnknownVersion, name, version)
	}

	return source, nil
}

// Rollback makes a stored version live again, whichever is live now, also after the function was removed.
// ErrUnknownVersion if there is no such version, ErrNative for a function of the program.
func (s *Service) Rollback(ctx context.Context, name, version string) (Deployed, error) {
	if s.isNative(name) {
		return Deployed{}, fmt.Errorf("roll back %s: %w", name, ErrNative)
	}

	deployed := Deployed{Name: name, Version: version}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := rollback(ctx, tx, &deployed); err != nil {
			return err
		}

		return s.checkRoute(ctx, tx, name)
	})
	if err != nil {
		return Deployed{}, fmt.Errorf("roll back %s: %w", name, err)
	}

	if err := s.live.refresh(ctx); err != nil {
		return Deployed{}, fmt.Errorf("%s is rolled back, but reading it back failed: %w", name, err)
	}

	return deployed, nil
}

func rollback(ctx context.Context, tx pgx.Tx, d *Deployed) error {
	if _, err := tx.Exec(ctx, sqlDeployLock); err != nil {
		return fmt.Errorf("lock the functions: %w", err)
	}

	live, err := liveVersions(ctx, tx, nil, []string{d.Name})
	if err != nil {
		return err
	}
	d.Previous = live[d.Name]
	d.Changed = d.Previous != d.Version

	var digest []byte
	err = tx.QueryRow(ctx, sqlVersionDigest, d.Name, d.Version).Scan(&digest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w: %s", ErrUnknownVersion, d.Version)
	case err != nil:
		return fmt.Errorf("read version %s: %w", d.Version, err)
	case !d.Changed:
		return nil
	}

	if err := setLive(ctx, tx, d.Name, &d.Version); err != nil {
		return err
	}

	return notify(ctx, tx)
}
