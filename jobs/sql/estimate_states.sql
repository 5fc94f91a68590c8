-- How many jobs of each state there are about, by the statistics of the last ANALYZE.
select s.state, (c.reltuples * s.share)::bigint
from pg_catalog.pg_class c
cross join (
    select unnest(most_common_vals::text::text[]) as state, unnest(most_common_freqs) as share
    from pg_catalog.pg_stats
    where schemaname = 'millrace' and tablename = 'river_job' and attname = 'state') s
where c.oid = 'millrace.river_job'::regclass and c.reltuples > 0
