-- Whether the server process of an old session, or the transaction in it that
-- began at $2, may still commit something.
select exists (
    select from pg_catalog.pg_stat_activity
    where pid = $1 and ($2::timestamptz is null or xact_start = $2))
