// Throws in a function below the handler, so that the stack has two lines of this file.
function charge(input) {
  throw new Error(input.message);
}

export const config = { maxAttempts: 1 };

export default async function (input, ctx) {
  ctx.log.warn("about to fail");
  charge(input);
}
