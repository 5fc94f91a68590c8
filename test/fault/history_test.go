package fault_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// history is what ran, as its functions saw it, and each outcome at the moment in which it was recorded. Both are
// beside millrace's tables, by the clock of the database.
const history = `
create table public.span (
    id bigint generated always as identity primary key, job bigint not null, attempt int not null, key int not null,
    node text not null, began timestamptz not null default clock_timestamp(), ended timestamptz
);
create index on public.span (job);
create table public.outcome (job bigint not null, attempt int not null, state text not null, at timestamptz not null default clock_timestamp());
create index on public.outcome (job);
create table public.released (node text not null);
create function public.record_outcome() returns trigger language plpgsql as $$
begin
    insert into public.outcome (job, attempt, state) values (new.id, new.attempt, new.state);
    return null;
end $$;
create trigger outcome after update of state on millrace.river_job for each row
    when (new.state is distinct from old.state and new.state in ('completed', 'discarded', 'cancelled'))
    execute function public.record_outcome();`

func (i *installation) keepHistory(t *testing.T) {
	t.Helper()
	_, err := i.db.Pool.Exec(t.Context(), history)
	require.NoError(t, err)
}

// count is a statement that returns one number.
func (i *installation) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// submit returns the id of a job that was acknowledged.
func (in *instance) submit(ctx context.Context, t *testing.T, function string, input any) int64 {
	t.Helper()
	raw, err := json.Marshal(input)
	require.NoError(t, err)
	job, err := in.client.Submit(ctx, function, raw, apiclient.Options{})
	require.NoError(t, err)
	return job.ID
}

// requireOneSuccess wants each of these jobs to have succeeded once, and none to have started after that.
func (i *installation) requireOneSuccess(t *testing.T, ids []int64) {
	t.Helper()
	const missing = `select count(*) from unnest($1::bigint[]) want (id) where not exists (
		select from millrace.river_job j where j.id = want.id and j.state = 'completed')`
	require.Zero(t, i.count(t, missing, ids), "jobs that were acknowledged and have not completed")
	const outcomes = `select count(*) from unnest($1::bigint[]) want (id)
		where (select array_agg(state) from public.outcome o where o.job = want.id) is distinct from '{completed}'`
	require.Zero(t, i.count(t, outcomes, ids), "jobs with another outcome than one success")
	const late = `select count(*) from public.outcome o join public.span s on s.job = o.job and s.began > o.at`
	require.Zero(t, i.count(t, late), "starts after the success was recorded")
}
