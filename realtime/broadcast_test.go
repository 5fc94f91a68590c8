package realtime

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

type rowChange struct {
	Op, Schema, Table string
	At                time.Time
	New, Old          map[string]any
}

// changes waits for count publications of a channel.
func (n *brokerNode) changes(t *testing.T, channel string, count int) (list []rowChange) {
	t.Helper()
	for _, d := range n.requireSequence(t, channel, 1, count) {
		var c rowChange
		require.NoError(t, json.Unmarshal(d.publication.Data, &c))
		require.WithinDuration(t, time.Now(), c.At, time.Minute)
		list = append(list, c)
	}
	return list
}

func TestBroadcastChanges(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startBroker(t, db)
	for _, channel := range []string{"orders:1", "orders:2", "odd:a b"} {
		require.NoError(t, n.Subscribe(channel))
	}
	execute(t, db, "create table public.orders (id int, state text, note text)")
	execute(t, db, `create trigger broadcast after insert or update or delete on public.orders
		for each row execute function millrace.broadcast_changes('orders:{id}', 'columns=id, state')`)
	execute(t, db, "insert into public.orders values (1, 'open', 'secret')")
	execute(t, db, "update public.orders set note = 'not sent'")
	execute(t, db, "update public.orders set state = null")
	execute(t, db, "update public.orders set id = 2")
	execute(t, db, "delete from public.orders")
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into public.orders values (2, 'rolled back')")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))

	first := n.changes(t, "orders:1", 3)
	require.Equal(t, map[string]any{"id": 1.0, "state": "open"}, first[0].New, "the chosen columns alone")
	require.Nil(t, first[0].Old)
	require.Equal(t, []string{"insert", "update", "update"}, []string{first[0].Op, first[1].Op, first[2].Op})
	require.Equal(t, map[string]any{"id": 1.0, "state": nil}, first[1].New)
	require.Equal(t, map[string]any{"id": 1.0, "state": "open"}, first[1].Old)
	require.Equal(t, [2]string{"public", "orders"}, [2]string{first[0].Schema, first[0].Table})
	second := n.changes(t, "orders:2", 2)
	require.Equal(t, first[2], second[0], "who follows either hears of the move")
	require.Equal(t, "delete", second[1].Op)
	require.Nil(t, second[1].New)
	require.InEpsilon(t, 2, second[1].Old["id"], 0)

	// Names and values that want quoting, and a role without any right on the schema.
	execute(t, db, `create schema "Odd Schema"`)
	execute(t, db, `create table "Odd Schema"."T'able" ("Na me" text, "a,b" int, "c""d" jsonb)`)
	execute(t, db, `create trigger "odd one" after insert or update or delete on "Odd Schema"."T'able"
		for each row execute function millrace.broadcast_changes('odd:{Na me}', 'columns=["a,b","c\"d"]')`)
	execute(t, db, "create role "+role(db)+"; grant usage on schema \"Odd Schema\" to "+role(db)+"; grant insert on \"Odd Schema\".\"T'able\" to "+role(db))
	defer execute(t, db, "drop owned by "+role(db)+"; drop role "+role(db))
	execute(t, db, `begin; set local role `+role(db)+`; insert into "Odd Schema"."T'able" values ('a b', 1, '{"x": "{id}"}'); commit`)
	odd := n.changes(t, "odd:a b", 1)[0]
	require.Equal(t, map[string]any{"a,b": 1.0, `c"d`: map[string]any{"x": "{id}"}}, odd.New)
	require.Equal(t, [2]string{"Odd Schema", "T'able"}, [2]string{odd.Schema, odd.Table})
}

// role is a name that no other test's database has: roles belong to the cluster.
func role(db *testdb.DB) string { return `"someone of ` + db.Pool.Config().ConnConfig.Database + `"` }

func TestBroadcastChangesRefusals(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	execute(t, db, "create table public.orders (id int, state text)")
	for _, c := range []struct{ trigger, insert, message, hint string }{
		{"after insert on public.orders for each row execute function millrace.broadcast_changes()", "(1, 'x')", "wrong arguments", "columns=id,state"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id}', 'id,state')", "(1, 'x')", "wrong arguments", "columns=id,state"},
		{"after insert on public.orders execute function millrace.broadcast_changes('orders:{id}')", "(1, 'x')", "FOR EACH ROW", "for each row"},
		{"before insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id}')", "(1, 'x')", "AFTER", "after insert"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{nr}')", "(1, 'x')", "no column nr", "id, state"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id}', 'columns=id,nr')", "(1, 'x')", "no column nr", "id, state"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id')", "(1, 'x')", "unfinished", "orders:{id}"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id}')", "(null, 'x')", "column id", "WHEN"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{state}')", "(1, e'a\\nb')", "invalid channel name", "control characters"},
		{"after insert on public.orders for each row execute function millrace.broadcast_changes('orders:{id}')", "(1, repeat('x', 1100000))", "bytes of data", "reference"},
	} {
		execute(t, db, "create or replace trigger t "+c.trigger)
		_, err := db.Pool.Exec(t.Context(), "insert into public.orders values "+c.insert)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, c.trigger)
		require.Contains(t, refused.Message, c.message)
		require.Contains(t, refused.Hint, c.hint)
	}
	require.Zero(t, query[int](t, db, "select count(*) from millrace.outbox"))
}

// What runs with millrace's rights runs nothing of the caller's: neither types that
// stand in for those of the catalog, nor conversions of a column's own type.
func TestSQLRunsNothingOfTheCallersWithMillracesRights(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	caller := role(db)
	execute(t, db, "create role "+caller+"; create schema hers authorization "+caller+"; grant usage on schema millrace to "+caller)
	defer execute(t, db, "drop owned by "+caller+" cascade; drop role "+caller)
	execute(t, db, "set role "+caller+`;
		create table hers.ran (who text);
		grant all on hers.ran to public;
		grant usage on schema hers to public;
		create function hers.run(text) returns boolean language plpgsql as $$
			begin insert into hers.ran values (current_user); return true; end $$;
		create function hers.run(jsonb) returns boolean language sql as $$ select hers.run('') $$;
		create type hers.kind as enum ('a');
		create function hers.json(hers.kind) returns json language plpgsql as $$
			begin insert into hers.ran values (current_user); return '1'; end $$;
		create cast (hers.kind as json) with function hers.json(hers.kind);
		create table hers.plain (id int, name text);
		create trigger t after insert on hers.plain for each row execute function millrace.broadcast_changes('hers:{id}');
		create type hers.pair as (one int, kinds hers.kind[]);
		create table hers.t (id int, pair hers.pair);
		create trigger t after insert on hers.t for each row execute function millrace.broadcast_changes('hers:{id}');
		reset role`)
	mallory := func(statement string) error {
		conn, err := pgx.Connect(t.Context(), db.URL)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(t.Context())) }()
		_, err = conn.Exec(t.Context(), "set role "+caller+`;
			create domain pg_temp.text as pg_catalog.text check (hers.run(value));
			create domain pg_temp.jsonb as pg_catalog.jsonb check (hers.run(value));`)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), statement)
		return err
	}
	require.NoError(t, mallory(`select millrace.publish('c'::pg_catalog.text, '1'::pg_catalog.jsonb, '{"version": 1, "tags": {"a": "b"}}')`))
	require.NoError(t, mallory(`begin; set constraints all immediate; select millrace.publish('c'::pg_catalog.text, '1'::pg_catalog.jsonb); commit`))
	require.NoError(t, mallory("insert into hers.plain values (1, 'x')"))
	refused := mallory("insert into hers.t values (1, '(1,{a})')")
	require.Empty(t, query[string](t, db, "select coalesce(string_agg(distinct who, ','), '') from hers.ran where who <> $1", strings.Trim(caller, `"`)))
	require.ErrorContains(t, refused, "hers.json")
}
