// Reports progress and logs, step by step, with a pause between two steps.
export default async function (input, ctx) {
  const { steps, pauseMs } = input;
  for (let step = 1; step <= steps; step++) {
    ctx.log(`step ${step}`, { step });
    ctx.progress((100 * step) / steps, `step ${step} of ${steps}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return { steps };
}
