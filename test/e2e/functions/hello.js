export default async function (input) {
  return { hello: input.name ?? "world" };
}
