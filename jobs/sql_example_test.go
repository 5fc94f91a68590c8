package jobs

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// The examples of docs/sql.md for pgx and for a trigger.
func TestSQLExamples(t *testing.T) {
	t.Parallel()

	db, ctx := testdb.New(t), t.Context()
	nativeConfig(t, db, "orders.charge", `{}`)
	exec(t, db, `create table public.orders (id int)`)

	order := struct {
		ID int `json:"order"`
	}{17}

	var job int64

	require.NoError(t, pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into public.orders (id) values ($1)`, order.ID); err != nil {
			return err //nolint:wrapcheck // an example
		}

		return tx.QueryRow(ctx, `select millrace.enqueue($1, $2, $3)`,
			"orders.charge", order, map[string]any{"delay": "10s"}).Scan(&job) //nolint:wrapcheck // an example
	}))
	require.JSONEq(t, `{"order": 17}`, string(read(t, db, job).Input))
	require.Equal(t, StateScheduled, read(t, db, job).State)

	exec(t, db, `create function public.charge() returns trigger language plpgsql as $$
		begin
		  perform millrace.enqueue('orders.charge', jsonb_build_object('order', new.id));
		  return null;
		end $$`)
	exec(t, db, `create trigger charge after insert on public.orders for each row execute function public.charge()`)
	exec(t, db, `insert into public.orders select generate_series(1, 1000)`)

	jobs, _ := countJobs(t, db)
	require.Equal(t, 1_001, jobs)

	// What is ready now is what the options say in SQL's own time.
	require.NoError(t, db.Pool.QueryRow(ctx,
		`select millrace.enqueue('orders.charge', options => jsonb_build_object('run_at', now() + interval '1 day'))`).Scan(&job))
	require.Equal(t, StateScheduled, read(t, db, job).State)
}
