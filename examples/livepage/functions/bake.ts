// The function "bake": takes some seconds and tells how far it is.

export const config = { timeout: "1m" };

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export default async function (input: { steps?: number } | null, ctx: any) {
  const steps = input?.steps ?? 20;
  for (let step = 1; step <= steps; step++) {
    await sleep(250);
    ctx.progress((100 * step) / steps, `step ${step} of ${steps}`);
  }
  return { baked: true, steps };
}
