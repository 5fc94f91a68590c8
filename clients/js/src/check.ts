/** known throws for names that are none of those that there are, which a type checker would have found. */
export function known(what: string, given: object, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new TypeError(`${what} has no ${JSON.stringify(name)}; there are: ${names.join(", ")}`);
  }
}

/** address checks the server's, and takes slashes off its end. */
export function address(url: unknown): string {
  const example = `give the server's address, such as "http://127.0.0.1:8080"`;
  if (url === undefined || url === null || url === "") throw new TypeError(`Client: url is missing: ${example}; is MILLRACE_URL set?`);
  if (typeof url !== "string" || !/^https?:\/\/./.test(url)) throw new TypeError(`Client: url is ${JSON.stringify(url)}: ${example}`);
  return url.replace(/\/+$/, "");
}

/** credential checks the key, or what gets one. */
export function credential(key: unknown): () => string | Promise<string> {
  if (typeof key === "function") return key as () => string | Promise<string>;
  if (typeof key !== "string" || key === "") throw new TypeError("Client: key is missing: give an API key, or a function that gets one; is MILLRACE_KEY set?");
  return () => key;
}

/** unreachable says why fetch failed, whose own message says only that it did. */
export function unreachable(url: string, error: unknown): string {
  const cause = (error as { cause?: { code?: string } } | undefined)?.cause;
  switch (cause?.code) {
    case "ECONNREFUSED": return `${url} refuses the connection`;
    case "ENOTFOUND": return `${url} cannot be found: there is no such host`;
    default: return `${url} cannot be reached${cause?.code ? ` (${cause.code})` : ""}`;
  }
}
