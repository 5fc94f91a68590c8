export const config = { maxAttempts: 1 };

export default function ({ id, item }) {
  if (item === "piano") throw new Error("no carrier takes a piano");
  return `parcel-${id}`;
}
