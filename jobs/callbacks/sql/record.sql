-- What became of attempt $2 of delivery $1, unless another one has begun since. $3 is the state, $4 the seconds until
-- the next attempt of a pending one.
update millrace.callback_delivery
set state = $3, last_status = nullif($5::smallint, 0), last_error = nullif($6::text, ''),
    next_at = case when $3 = 'pending' then now() + $4::double precision * interval '1 second' else next_at end,
    finished_at = case when $3 <> 'pending' then now() end
where id = $1 and attempts = $2 and state = 'pending'
returning id
