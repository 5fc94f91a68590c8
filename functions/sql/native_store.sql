-- Makes functions of the program and their settings known to millrace.enqueue and to the other programs. Of programs
-- that differ, the last one that started counts.
insert into millrace.native_function as n (name, config)
select b.name, b.config from unnest($1::text[], $2::jsonb[]) as b (name, config)
on conflict (name) do update set
    config = excluded.config,
    updated_at = case when n.config <> excluded.config then now() else n.updated_at end,
    seen_at = now()
