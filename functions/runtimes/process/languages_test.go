package process_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

func callOf(input string) runtimes.Call {
	return runtimes.Call{JobID: "7", Function: "test.fn", Input: []byte(input), Attempt: 1, MaxAttempts: 1}
}

func TestNodeFunction(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	r := newRunner(t, process.Config{})
	p := prepare(t, r, "fn.node.mjs", files{
		"fn.node.mjs": `import { createHash } from "node:crypto";
import { greet } from "./_greet.mjs";
import fs from "node:fs";
export const config = { timeout: "30s" };
export default async function (input, ctx) {
  console.log("hello", input.name);
  if (input.throw) throw Object.assign(new Error("declined"), { retryable: false });
  if (input.spin) for (;;);
  if (input.big) return 10n;
  if (input.shadow) return fs.readFileSync("/etc/shadow", "utf8");
  if (input.exit) process.exit(3);
  if (input.fetch) return await fetch("http://127.0.0.1:8123/");
  ctx.progress(50, "half");
  const id = await ctx.enqueue("other", { a: 1 }, { delay: "10m" });
  return { text: greet(input.name), id, attempt: ctx.attempt, hash: createHash("sha256").update("a").digest("hex").slice(0, 4) };
}
`,
		"_greet.mjs": "export const greet = (name) => `hi ${name}`;\n",
	})
	w := &world{}
	output, err := call(t, r, p, `{"name":"세계"}`, patience, w)
	require.NoError(t, err)
	require.JSONEq(t, `{"text":"hi 세계","id":"42","attempt":2,"hash":"ca97"}`, output)
	require.Equal(t, []string{"info hello 세계"}, w.log())
	require.Equal(t, []string{"50 half"}, w.progress)
	require.Equal(t, []string{`enqueue other {"a":1} 10m0s 0`}, w.asked)

	for input, want := range map[string]struct{ code, text string }{
		`{"throw":1}`:  {jobs.CodeException, "Error: declined"},
		`{"big":1}`:    {jobs.CodeInvalidOutput, "BigInt"},
		`{"shadow":1}`: {jobs.CodeException, "EACCES"},
		`{"exit":1}`:   {process.CodeProcessDied, "exit status 3"},
		`{"fetch":1}`:  {jobs.CodeException, "config network = true"},
	} {
		_, err := call(t, r, p, input, patience, nil)
		f := failure(t, err)
		require.Equal(t, want.code, f.Code, "%s: %s", input, f.Message)
		require.Contains(t, f.Message, want.text, input)
		if want.text == "Error: declined" {
			require.False(t, f.Retryable)
			require.Contains(t, f.Stack, "fn.node.mjs:7:")
		}
	}
	_, err = call(t, r, p, `{"spin":1}`, 3*time.Second, nil)
	require.Contains(t, []string{jobs.CodeTimeout}, failure(t, err).Code)

	_, err = build(t, r, "fn.node.js", files{"fn.node.js": "exports.handler = 1\n"})
	require.ErrorContains(t, err, "there is no function to run")
	_, err = build(t, r, "fn.node.mjs", files{"fn.node.mjs": "\nlet x: = 1\n"})
	require.ErrorContains(t, err, "fn.node.mjs:2")
	_, err = build(t, r, "fn.node.js", files{"fn.node.js": "module.exports = async (input) => input;\n"})
	require.NoError(t, err)
}

// A host in a few lines of shell: any program that reads and writes lines can be a function.
const shellHost = `#!/bin/sh
echo '{"type":"hello","protocol":1,"language":"sh"}'
while read -r line; do
  case "$line" in
    *'"type":"load"'*) echo '{"type":"ready","concurrency":1,"unknown":true}'; echo '{"type":"news"}' ;;
    *'"type":"invoke"'*)
      call=${line#*'"call":'}; call=${call%%,*}
      echo "{\"type\":\"log\",\"call\":$call,\"level\":\"info\",\"message\":\"in the shell\"}"
      echo "to the log" >&2
      read -r fruit < "$(dirname "$0")/fruit.txt"
      echo "{\"type\":\"result\",\"call\":$call,\"output\":\"$fruit $1\"}" ;;
  esac
done
`

func TestCommand(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	manifest := `{"command": ["./tool.sh", "one"], "files": ["./fruit.txt"], "config": {"timeout": "30s"}}`
	all := files{"a/fn.command.json": manifest, "a/tool.sh": shellHost, "a/fruit.txt": "pear\n", "a/other.txt": ""}
	p := prepare(t, r, "a/fn.command.json", all)
	w := &world{}
	output, err := call(t, r, p, "1", patience, w)
	require.NoError(t, err)
	require.Equal(t, `"pear one"`, output)
	require.Contains(t, w.log(), "info in the shell")

	for text, want := range map[string]string{
		`{"command": ["./nothing"]}`:                        "the file ./nothing is not in the functions folder",
		`{"command": []}`:                                   "there is nothing to run",
		"{\n\"comand\": []}":                                "unknown field",
		`{"command": ["../x"]}`:                             "must begin with",
		`{"command": ["true"], "config": {"timeout": "x"}}`: "config.timeout must be",
		"{\n  oops":                                         "fn.command.json:2:",
	} {
		_, err := build(t, r, "fn.command.json", files{"fn.command.json": text})
		require.ErrorContains(t, err, want, text)
	}

	talks := prepare(t, r, "fn.command.json", files{"fn.command.json": `{"command": ["./x.sh"]}`, "x.sh": "#!/bin/sh\necho hello\nsleep 100\n"})
	_, err = call(t, r, talks, "1", patience, nil)
	require.ErrorContains(t, err, "what is no message")
}
