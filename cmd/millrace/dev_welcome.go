package main

// welcome is what a dev server says when it is ready.
type welcome struct {
	url   string
	login string // secret of the one-time link
	key   string

	functions int // how many are deployed
	folder    string
}

// print writes to stdout: the addresses and the key are this command's result.
func (w welcome) print(out *streams) error {
	return out.print(`
millrace is ready at %s

  page       %s/#login=%s   (logs one browser in, once)
  key        %s
  functions  %s from %s, deployed on every change

Try it:

  export MILLRACE_URL=%s MILLRACE_KEY=%s
  millrace run hello '{"name": "Ada"}' --follow

  curl -sS '%s/v1/functions/hello/jobs?wait=10s' -H 'Authorization: Bearer %s' -d '{"name": "Ada"}'

Ctrl-C stops it; the data stay.
`, w.url, w.url, w.login, w.key, count(w.functions, "function"), w.folder, w.url, w.key, w.url, w.key)
}
