package durable_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// A job sleeps, its instance goes away, another one goes on with it: what was done is not done again.
func TestASleepOutlivesItsInstance(t *testing.T) {
	t.Parallel()
	db, w := testdb.New(t), &world{}
	first := start(t, db, setup{world: w})
	first.deploy("order", `export default async function (input, ctx) {
		const charge = await ctx.step("charge", async () => { await ctx.publish("charged", 1); return {id: input.id + "-1"} });
		await ctx.sleep("1d");
		const mail = await ctx.step("mail", async () => { await ctx.publish("mailed", 1); return "sent to " + charge.id });
		return {mail, attempt: ctx.attempt};
	}`)
	id := first.submit("order", `{"id": "a"}`)
	first.asleep(id)
	require.Equal(t, []string{"charged"}, w.all())
	first.stop()

	second := start(t, db, setup{world: w})
	second.wake(id)
	require.JSONEq(t, `{"mail": "sent to a-1", "attempt": 1}`, second.output(id))
	require.Equal(t, []string{"charged", "mailed"}, w.all())
}
