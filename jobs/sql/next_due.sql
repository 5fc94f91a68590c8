-- Milliseconds until the next waiting job is due, null when none is within the hour: two looks at the head of
-- mr_wait. The bound also keeps 'infinity', which SQL users may write, out of the subtraction.
select (extract(epoch from least(
    (select scheduled_at from millrace.river_job
     where state = 'retryable' and scheduled_at < now() + interval '1 hour' and unique_key is null
     order by scheduled_at limit 1),
    (select scheduled_at from millrace.river_job
     where state = 'scheduled' and scheduled_at < now() + interval '1 hour' and unique_key is null
     order by scheduled_at limit 1)
) - clock_timestamp()) * 1000)::double precision
