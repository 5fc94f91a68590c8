// Numbers as they were written. JSON.parse rounds 12345678901234567890 and makes 1 of 1.0; what people wrote into a
// job's input must come out of this page unchanged, to be read and to be run again.

/** parseExact is JSON.parse that keeps the text of such numbers, for JSON.stringify to write again. */
export function parseExact(text) {
  if (!JSON.rawJSON) return JSON.parse(text); // browsers from before 2025
  return JSON.parse(text, (key, value, { source }) =>
    (typeof value === "number" && String(value) !== source ? JSON.rawJSON(source) : value));
}
