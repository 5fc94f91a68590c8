package functions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// A folder with functions in every language is deployed as one, and found by another instance with all their files.
func TestFolderOfEveryLanguage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"hello.ts":           `export default async (input) => "js " + input`,
		"text/count.py":      "from _words import words\n\ndef handler(input, ctx):\n    return len(words(input))\n",
		"text/_words.py":     "def words(text):\n    return text.split()\n",
		"text/unused.py":     "def handler(input, ctx):\n    return None\n",
		"text/test_count.py": "raise Exception('a test is no function')\n",
	})
	deployment, err := functions.ScanFolder(dir)
	require.NoError(t, err)
	names, runtimes := []string{}, []string{}
	for _, f := range deployment.Functions {
		names, runtimes = append(names, f.Name), append(runtimes, f.Runtime)
	}
	require.Equal(t, []string{"hello", "text.count", "text.unused"}, names)
	require.Equal(t, []string{"js", "python", "python"}, runtimes)
	require.Len(t, deployment.Functions[1].Files, 2)

	db := testdb.New(t)
	a, b := start(t, db, setup{}), start(t, db, setup{})
	result, err := a.Deploy(t.Context(), deployment)
	require.NoError(t, err)
	require.Len(t, result.Functions, 3)
	require.Equal(t, "3", mustCall(t, b, "text.count", `"one two three"`))
	require.Equal(t, `"js 1"`, mustCall(t, b, "hello", "1"))

	source, err := b.Source(t.Context(), "text.count", result.Functions[1].Version)
	require.NoError(t, err)
	require.Equal(t, "python", source.Runtime)
	require.Contains(t, source.Files, "text/_words.py")

	again, err := a.Deploy(t.Context(), deployment)
	require.NoError(t, err)
	for _, f := range again.Functions {
		require.False(t, f.Changed, f.Name)
	}
}
