package migrations

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed *.sql
var files embed.FS

// step changes the schema: inside tx, or through the pool where the migration
// is one that commits by itself.
type step func(ctx context.Context, tx pgx.Tx, pool *pgxpool.Pool) error

type migration struct {
	version  int
	name     string
	up, down step
	alone    bool // the steps commit by themselves, and may be repeated
}

// riverVersion is the place of River's own schema in our order: our later
// migrations build on its tables.
const riverVersion = 2

var fileName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.(up|down)\.sql$`)

// load reads the embedded files, in the order of their numbers, and checks that
// every up has its down.
func load(fsys fs.FS) ([]migration, error) {
	byVersion := map[int]*migration{
		riverVersion: {version: riverVersion, name: "river", up: riverUp, down: riverDown, alone: true},
	}
	names, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list the migrations: %w", err)
	}
	for _, name := range names {
		if err := addFile(fsys, byVersion, name); err != nil {
			return nil, err
		}
	}
	list := make([]migration, 0, len(byVersion))
	for _, m := range byVersion {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	for _, m := range list {
		if m.up == nil || m.down == nil {
			return nil, fmt.Errorf("migration %04d_%s lacks its up or its down file", m.version, m.name)
		}
	}
	return list, nil
}

func addFile(fsys fs.FS, byVersion map[int]*migration, name string) error {
	parts := fileName.FindStringSubmatch(name)
	if parts == nil {
		return fmt.Errorf("migration file %s: the name is not NNNN_name.up.sql or NNNN_name.down.sql", name)
	}
	version, _ := strconv.Atoi(parts[1]) // four digits
	sql, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("read migration %s: %w", name, err)
	}
	m := byVersion[version]
	if m == nil {
		m = &migration{version: version, name: parts[2]}
		byVersion[version] = m
	}
	if m.name != parts[2] {
		return fmt.Errorf("migration file %s: version %d is %s already", name, version, m.name)
	}
	if parts[3] == "up" {
		m.up = execute(string(sql))
	} else {
		m.down = execute(string(sql))
	}
	return nil
}

// execute runs a whole file; without arguments Postgres takes several
// statements in one go.
func execute(sql string) step {
	return func(ctx context.Context, tx pgx.Tx, _ *pgxpool.Pool) error {
		_, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll()
		return err //nolint:wrapcheck // the runner names the migration
	}
}
