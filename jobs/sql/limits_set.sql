-- Zero and the empty text mean that nothing is set.
select millrace.set_limits($1, nullif($2::integer, 0), nullif($3::text, ''),
    nullif($4::integer, 0), case when $4 <> 0 then $5::bigint * interval '1 microsecond' end,
    nullif($6::integer, 0), nullif($7::text, ''))
