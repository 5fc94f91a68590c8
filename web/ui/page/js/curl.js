// The command lines that the page teaches.
const prompt = (lines) => lines.join(" \\\n  ");

/** quote makes a text one word of a POSIX shell. */
export function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** submitLine is the curl command that runs a function and waits for its result. */
export function submitLine(name, input) {
  return prompt([
    `curl -X POST ${quote(new URL(`v1/functions/${encodeURIComponent(name)}/jobs?wait=10s`, document.baseURI).href)}`,
    `-H "Authorization: Bearer $MILLRACE_KEY" -H 'Content-Type: application/json'`,
    `-d ${quote(JSON.stringify(input))}`,
  ]);
}
