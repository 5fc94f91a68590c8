// The command lines that the page teaches.
const continued = (lines) => lines.join(" \\\n  ");

/** quote makes a text one word of a POSIX shell. */
export function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** submitLine is the curl command that runs a function and waits for its result. */
export function submitLine(name, input) {
  const address = new URL(`v1/functions/${encodeURIComponent(name)}/jobs?wait=10s`, document.baseURI).href;
  return continued([
    `curl -sS ${quote(address)}`,
    `-H "Authorization: Bearer $MILLRACE_KEY"`,
    `-d ${quote(JSON.stringify(input))}`,
  ]);
}
