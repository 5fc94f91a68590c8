from millrace.schedule
where name > $1 and ($2 = '' or function = $2)
order by name
limit $3
