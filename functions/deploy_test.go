package functions_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

func TestDeployAndRun(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})

	first := deploy(t, s, source("orders.charge", `export const config = {queue: "mail", timeout: "5s"}; export default (n: number) => n + 1`))[0]
	require.Equal(t, functions.Deployed{Name: "orders.charge", Version: first.Version, Changed: true}, first)
	require.Len(t, first.Version, 12)
	require.Equal(t, "2", mustCall(t, s, "orders.charge", "1"))

	settings, err := s.Resolve(t.Context(), "orders.charge")
	require.NoError(t, err)
	require.Equal(t, jobs.Settings{Version: first.Version, Queue: "mail", Timeout: 5 * time.Second}, settings)

	second := deploy(t, s, returns("orders.charge", "input + 2"))[0]
	require.True(t, second.Changed)
	require.Equal(t, first.Version, second.Previous)
	require.Equal(t, "3", mustCall(t, s, "orders.charge", "1"))

	output, err := call(t, s, "orders.charge", first.Version, "1", patience)
	require.NoError(t, err)
	require.Equal(t, "2", output, "an attempt stays on its version")

	got, err := s.Get(t.Context(), "orders.charge")
	require.NoError(t, err)
	require.Equal(t, second.Version, got.Version)
	require.Equal(t, "js", got.Runtime)
	require.WithinDuration(t, time.Now(), got.UpdatedAt, time.Minute)
}

func TestUnchangedContentMakesNoVersion(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	first := deploy(t, s, returns("fn", "1"))[0]

	again := deploy(t, s, returns("fn", "1"))[0]
	require.Equal(t, functions.Deployed{Name: "fn", Version: first.Version, Previous: first.Version}, again)

	unused := returns("fn", "1")
	unused.Files["other.ts"] = []byte("export const other = 2")
	require.False(t, deploy(t, s, unused)[0].Changed, "a file that is not imported does not count")

	versions, err := s.Versions(t.Context(), "fn")
	require.NoError(t, err)
	require.Len(t, versions, 1)

	deploy(t, s, returns("fn", "2"))
	back := deploy(t, s, returns("fn", "1"))[0]
	require.True(t, back.Changed)
	require.Equal(t, first.Version, back.Version)
	require.Equal(t, "1", mustCall(t, s, "fn", "null"))
}

func TestRollbackRemoveAndVersions(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	first := deploy(t, s, returns("fn", "'one'"))[0]
	second := deploy(t, s, returns("fn", "'two'"))[0]

	back, err := s.Rollback(t.Context(), "fn", first.Version)
	require.NoError(t, err)
	require.Equal(t, functions.Deployed{Name: "fn", Version: first.Version, Changed: true, Previous: second.Version}, back)
	require.Equal(t, `"one"`, mustCall(t, s, "fn", "null"))

	again, err := s.Rollback(t.Context(), "fn", first.Version)
	require.NoError(t, err)
	require.False(t, again.Changed)

	versions, err := s.Versions(t.Context(), "fn")
	require.NoError(t, err)
	require.Len(t, versions, 2)
	for _, v := range versions {
		require.Equal(t, v.Version == first.Version, v.Live)
	}

	_, err = s.Rollback(t.Context(), "fn", "000000000000")
	require.ErrorIs(t, err, functions.ErrUnknownVersion)
	_, err = s.Rollback(t.Context(), "nobody", first.Version)
	require.ErrorIs(t, err, functions.ErrUnknownVersion)

	result, err := s.Deploy(t.Context(), functions.Deployment{Remove: []string{"fn", "nobody"}})
	require.NoError(t, err)
	require.Equal(t, []string{"fn"}, result.Removed)
	_, err = s.Resolve(t.Context(), "fn")
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)
	_, err = s.Get(t.Context(), "fn")
	require.ErrorIs(t, err, functions.ErrUnknownFunction)
	_, err = s.Versions(t.Context(), "nobody")
	require.ErrorIs(t, err, functions.ErrUnknownFunction)

	output, err := call(t, s, "fn", second.Version, "null", patience)
	require.NoError(t, err, "what runs on a removed function runs to its end")
	require.Equal(t, `"two"`, output)

	_, err = s.Rollback(t.Context(), "fn", second.Version)
	require.NoError(t, err)
	require.Equal(t, `"two"`, mustCall(t, s, "fn", "null"))
}

func TestDeploymentIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	deploy(t, s, returns("one", "1"))

	_, err := s.Deploy(t.Context(), functions.Deployment{
		Functions: []functions.Source{returns("one", "2"), returns("two", "2"), source("bad", "\nexport default ("), source("worse", "export const config = {queue: 5}; export default 1")},
		Remove:    []string{"one", "three"},
	})
	var wrong *functions.BuildError
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, err.Error(), "deployed and removed at once")

	_, err = s.Deploy(t.Context(), functions.Deployment{
		Functions: []functions.Source{returns("one", "2"), returns("two", "2"), source("bad", "\nexport default ("), source("worse", "export const config = {queue: 5}; export default 1")},
	})
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Diagnostics, 3, "%v", err)
	require.Equal(t, "bad", wrong.Diagnostics[0].Function)
	require.Equal(t, "bad.ts", wrong.Diagnostics[0].File)
	require.Equal(t, 2, wrong.Diagnostics[0].Line)

	require.Equal(t, "1", mustCall(t, s, "one", "null"))
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	result, err := s.Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{returns("fn", "1")}, DryRun: true})
	require.NoError(t, err)
	require.True(t, result.Functions[0].Changed)
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestShapeMistakes(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{before: func(s *functions.Service) {
		require.NoError(t, s.RegisterNative("go.fn", echo, jobs.Settings{}))
	}})
	file := func(name string) functions.Source {
		f := returns("fn", "1")
		f.Files[name] = nil
		return f
	}
	for want, deployment := range map[string]functions.Deployment{
		"must be names":          {Functions: []functions.Source{returns("a b", "1")}},
		"must have 2 to 127":     {Functions: []functions.Source{returns("a", "1")}},
		"not among the files":    {Functions: []functions.Source{{Name: "fn", Entry: "gone.ts"}}},
		"in this deployment twi": {Functions: []functions.Source{returns("fn", "1"), returns("fn", "2")}},
		"no runtime":             {Functions: []functions.Source{{Name: "fn", Runtime: "cobol", Entry: "x", Files: map[string][]byte{"x": nil}}}},
		`"../x.ts" is no path`:   {Functions: []functions.Source{file("../x.ts")}},
		`"/etc/x.ts" is no path`: {Functions: []functions.Source{file("/etc/x.ts")}},
		`"a/../x.ts" is no path`: {Functions: []functions.Source{file("a/../x.ts")}},
		"not UTF-8":              {Functions: []functions.Source{source("fn", "\xff")}},
		"part of the program":    {Remove: []string{"go.fn"}},
	} {
		_, err := s.Deploy(t.Context(), deployment)
		var wrong *functions.BuildError
		require.ErrorAs(t, err, &wrong, want)
		require.Contains(t, err.Error(), want)
	}
}

func TestSourceIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	f := source("fn", `import { x } from "./lib"; export default () => x`)
	f.Files["lib.ts"] = []byte("export const x = 'é'")
	f.Files["unused.ts"] = []byte("1")
	d := deploy(t, s, f)[0]

	got, err := s.Source(t.Context(), "fn", d.Version)
	require.NoError(t, err)
	delete(f.Files, "unused.ts")
	f.Runtime = "js"
	require.Equal(t, f, got)

	_, err = s.Source(t.Context(), "fn", "nothing")
	require.ErrorIs(t, err, functions.ErrUnknownVersion)
}

func TestVersionsAreImmutable(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := start(t, db, setup{})
	deploy(t, s, returns("fn", "1"))
	for _, change := range []string{
		"update millrace.function_version set runtime = 'x'", "update millrace.function_file set path = 'x'", "update millrace.blob set data = ''",
	} {
		_, err := db.Pool.Exec(t.Context(), change)
		require.ErrorContains(t, err, "immutable", change)
	}
}

func TestConcurrentDeploys(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := start(t, db, setup{}), start(t, db, setup{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { deploy(t, a, returns("same", "'s'"), returns(fmt.Sprint("a", i), fmt.Sprint(i))) })
		wg.Go(func() { deploy(t, b, returns(fmt.Sprint("b", i), fmt.Sprint(i)), returns("same", "'s'")) })
	}
	wg.Wait()
	for _, s := range []instance{a, b} {
		list, err := s.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 9)
		require.Equal(t, `"s"`, mustCall(t, s, "same", "null"))
		require.Equal(t, "3", mustCall(t, s, "a3", "null"))
		require.Equal(t, "3", mustCall(t, s, "b3", "null"))
	}
}
