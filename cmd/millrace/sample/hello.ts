// functions/hello.ts is the function "hello". Save a change and it is deployed; functions/orders/charge.ts would be
// "orders.charge". The server printed the line that runs it when it started: … run hello '{"name": "Ada"}' --follow
//
// ctx is the job: ctx.log, ctx.progress, ctx.publish(channel, data), ctx.enqueue(function, input, options), ctx.jobId,
// ctx.attempt, ctx.maxAttempts, ctx.deadline, ctx.now(), ctx.random() and ctx.uuid().

export const config = { timeout: "10s", retries: 2 };

export default async function (input: { name?: string } | null, ctx: any) {
  const name = input?.name ?? "world";
  ctx.log(`greeting ${name}, attempt ${ctx.attempt}`);
  ctx.progress(50, "thinking");
  ctx.progress(100, "done");
  return { greeting: `Hello, ${name}!` };
}
