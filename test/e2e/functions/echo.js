// Says its input wherever a function can say something.
export default async function (input, ctx) {
  ctx.log(input.text, { text: input.text });
  ctx.progress(50, input.text);
  if (input.fail) throw Object.assign(new Error(input.text), { retryable: false });
  return input;
}
