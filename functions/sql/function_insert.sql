insert into millrace.function (name, revision)
values ($1, 0)
    on conflict (name) do nothing
