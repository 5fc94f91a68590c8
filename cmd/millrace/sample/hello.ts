// This file is the function "hello". Save a change and it is deployed; functions/orders/charge.ts would be
// "orders.charge".
//
//   millrace run hello '{"name": "Ada"}' --follow

export const config = { timeout: "10s", retries: 2 };

export default async function (input: { name?: string } | null, ctx: any) {
  const name = input?.name ?? "world";
  ctx.log(`greeting ${name}, attempt ${ctx.attempt}`);
  ctx.progress(50, "thinking");
  ctx.progress(100, "done");
  return { greeting: `Hello, ${name}!` };
}
