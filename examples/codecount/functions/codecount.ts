// Counts the lines, words and identifiers of one Go source.
//
// The rules, which the check in count.go follows with other means:
//   lines        newline characters
//   words        runs of anything but ASCII white space
//   identifiers  as Go's scanner sees them, without keywords, comments, strings and numbers; a character outside
//                of ASCII counts as a letter

// The largest file of the toolchain has 3 MB and takes a second or two; the time is for machines with much else to do.
export const config = { timeout: "5m", retries: 4 };

type Input = { path: string; content: string };

const keywords = new Set(
  ("break case chan const continue default defer else fallthrough for func go goto if import interface map " +
    "package range return select struct switch type var").split(" "),
);

// One alternative a kind of token; only the last, an identifier, is captured.
const token = new RegExp(
  [
    /\/\/[^\n]*/, // comment to the end of the line
    /\/\*[^]*?(?:\*\/|$)/, // comment, open at worst until the end of the file
    /"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"?/, // string
    /`[^`]*`?/, // raw string
    /'[^'\\\n]*(?:\\[^\n][^'\\\n]*)*'?/, // rune
    /[0-9][A-Za-z0-9_\u0080-\uffff]*/, // number
    /([A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)/,
  ]
    .map((kind) => kind.source)
    .join("|"),
  "g",
);

export default async function codecount({ path, content }: Input) {
  return { path, lines: lines(content), words: words(content), identifiers: identifiers(content) };
}

function lines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

function words(text: string): number {
  const word = /[^\t\n\v\f\r ]+/g;
  let count = 0;
  while (word.test(text)) count++;
  return count;
}

// A Map, since "constructor" and "__proto__" are names like any other.
function identifiers(text: string): Record<string, number> {
  const counts = new Map<string, number>();
  token.lastIndex = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const name = match[1];
    if (name !== undefined && !keywords.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}
