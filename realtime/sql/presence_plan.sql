-- Members are listed along the key, as far as the limit, also when the planner has not seen the table since it grew:
-- else all of a big channel are fetched and sorted.
select set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)
