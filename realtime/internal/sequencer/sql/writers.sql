-- Whether some transaction has written to the outbox and has not ended.
select exists (
    select from pg_catalog.pg_locks
    where locktype = 'relation' and relation = 'millrace.outbox'::pg_catalog.regclass and mode = 'RowExclusiveLock'
      and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
      and pid is distinct from pg_catalog.pg_backend_pid())
