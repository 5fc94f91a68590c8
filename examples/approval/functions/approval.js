// A person decides: the job waits for three days, as a row, and goes on when the event comes.
export default async function (request, ctx) {
  await ctx.step("ask", () => ctx.publish("approvals", { id: request.id, text: request.text }));
  const decision = await ctx.waitForEvent("request.decided", { key: request.id, timeout: "3d" });
  if (decision === null) return { state: "expired" };
  return { state: decision.approved ? "approved" : "refused", by: decision.by };
}
