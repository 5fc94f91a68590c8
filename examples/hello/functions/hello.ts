// The function "hello": the folder and the file's name say so.

export const config = { timeout: "10s", retries: 2 };

export default async function (input: { name?: string } | null, ctx: any) {
  const name = input?.name ?? "world";
  ctx.log(`greeting ${name}, attempt ${ctx.attempt}`);
  ctx.progress(50, "looking for words");
  await ctx.publish("greetings", { name }); // whoever watches the channel hears of it
  ctx.progress(100, "found them");
  return { greeting: `Hello, ${name}!` };
}
