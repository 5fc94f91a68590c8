with made as (
    insert into millrace.auth_secret (name, value) values ($1, $2)
    on conflict (name) do nothing
    returning value
)
select value from made
union all
select value from millrace.auth_secret where name = $1
limit 1
