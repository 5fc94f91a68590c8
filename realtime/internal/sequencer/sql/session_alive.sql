-- Whether the server process of an old session may still commit something.
select exists (select from pg_catalog.pg_stat_activity where pid = $1)
