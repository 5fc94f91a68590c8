// An order as a saga: when a later part fails, what was done before is undone, each once.
export const config = { backoff: 1000, timeout: "30s" };

export default async function (order, ctx) {
  const undo = [];
  try {
    const charge = await ctx.step("charge", () => ({ id: `charge-${order.id}`, cents: order.cents }));
    undo.push(["refund", charge.id]);

    const [stock, invoice] = await Promise.all([
      ctx.step("reserve", () => `shelf-${order.item}`),
      ctx.step("invoice", () => `invoice-${order.id}`),
    ]);
    undo.push(["release", stock]);

    const parcel = await ctx.call("orders.ship", { id: order.id, item: order.item });
    await ctx.sleep("until it has arrived", "2d");
    return { state: "done", invoice, parcel };
  } catch (error) {
    for (const [name, what] of undo.reverse()) await ctx.step(name, () => `${name} ${what}`);
    return { state: "undone", because: error.message, undone: undo.map(([name]) => name) };
  }
}
