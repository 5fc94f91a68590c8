// A chat of many rooms: everybody in a room hears what is said there, on whichever instance they are.
export const socket = { route: "/ws/chat/:room", access: "public" };

export async function connect(event, ctx) {
  const name = (ctx.query.name ?? "").trim().slice(0, 30);
  if (name === "") return ctx.close(4400, "say who you are: ?name=");
  ctx.state.name = name;
  await ctx.join("chat:" + ctx.params.room);
  ctx.send({ message: "연결 성공" });
  await say(ctx, { joined: name });
}

export async function receive(event, ctx) {
  const text = String(event.json().message ?? "").slice(0, 1000);
  if (text !== "") await say(ctx, { name: ctx.state.name, message: text });
}

export async function disconnect(event, ctx) {
  await say(ctx, { left: ctx.state.name });
}

const say = (ctx, what) => ctx.publish("chat:" + ctx.params.room, what);
