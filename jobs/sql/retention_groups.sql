-- The functions that say themselves how long their jobs of a state are kept, grouped by that.
select s.state, (f.keep ->> s.field)::bigint, array_agg(f.function::text order by f.function)
from millrace.function_retention f
cross join (values ('completed', 'completed_ms'), ('discarded', 'failed_ms'), ('cancelled', 'cancelled_ms')) s (state, field)
where f.keep ? s.field
group by 1, 2
order by 1, 2
