-- Replaces what millrace.publish knows of the namespaces.
with gone as (
    delete from millrace.namespace where name <> all ($1)
)
insert into millrace.namespace as n (name, read_only, any_bytes, max_size)
select * from unnest($1::text[], $2::boolean[], $3::boolean[], $4::integer[])
on conflict (name) do update set
    read_only = excluded.read_only, any_bytes = excluded.any_bytes, max_size = excluded.max_size
where (n.read_only, n.any_bytes, n.max_size)
    is distinct from (excluded.read_only, excluded.any_bytes, excluded.max_size)
