from millrace.failure_group
where ($1 = '' or state = $1)
  and ($2 = '' or function = $2)
  and (last_seen, id) < ($3::timestamptz, $4::text)
order by last_seen desc, id desc
limit $5
