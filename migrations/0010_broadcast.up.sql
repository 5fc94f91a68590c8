-- Row changes as publications, by a trigger that the owner of a table creates.

-- The channel of a row: each {column} of the template becomes that column's value.
create function millrace.channel_from(template text, fields jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    piece text[];
    channel text := '';
begin
    if regexp_replace(template, '\{[^{}]+\}', '', 'g') ~ '[{}]' then
        raise exception 'millrace.broadcast_changes: unfinished {column} in the channel %', quote_literal(template)
            using errcode = '22023', hint = 'Write it like ''orders:{id}''.';
    end if;
    for piece in select regexp_matches(template, '([^{}]*)(?:\{([^{}]+)\})?', 'g') loop
        channel := channel || piece[1];
        if piece[2] is null then
            continue;
        end if;
        if not fields ? piece[2] then
            raise exception 'millrace.broadcast_changes: no column % for the channel %', quote_ident(piece[2]), quote_literal(template)
                using errcode = '42703',
                      hint = format('The columns are: %s.', (select string_agg(quote_ident(k), ', ') from jsonb_object_keys(fields) k));
        end if;
        if coalesce(fields ->> piece[2], '') = '' then
            raise exception 'millrace.broadcast_changes: column % of the channel % is empty', quote_ident(piece[2]), quote_literal(template)
                using errcode = '22004',
                      hint = 'Declare the column not null, or leave such rows out with WHEN (...) in CREATE TRIGGER.';
        end if;
        channel := channel || (fields ->> piece[2]);
    end loop;
    return channel;
end $$;

-- A row without the columns that were not chosen; null chooses all.
create function millrace.chosen_columns(fields jsonb, chosen text[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    missing text;
begin
    if fields is null or chosen is null then
        return fields;
    end if;
    select c into missing from unnest(chosen) c where not fields ? c limit 1;
    if missing is not null then
        raise exception 'millrace.broadcast_changes: no column %', quote_ident(missing)
            using errcode = '42703',
                  hint = format('The columns are: %s.', (select string_agg(quote_ident(k), ', ') from jsonb_object_keys(fields) k));
    end if;
    return (select jsonb_object_agg(f.key, f.value) from jsonb_each(fields) f where f.key = any (chosen));
end $$;

-- The function of a cast to json that to_jsonb would call for some column of a
-- table, unless its owner may do what millrace does anyhow: it would run with
-- millrace's rights. Null where there is none. Casts of extensions are trusted.
create function millrace.foreign_cast(of_table oid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return (select p.oid::regprocedure::text
    from pg_cast c
    join pg_proc p on p.oid = c.castfunc
    where c.casttarget = 'json'::regtype
      and not pg_has_role(p.proowner, current_user::name, 'member')
      and not exists (select from pg_depend d
                      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
      and c.castsource in (
        with recursive used (type) as (
            select a.atttypid from pg_attribute a where a.attrelid = of_table and a.attnum > 0 and not a.attisdropped
            union
            select part.type
            from used
            join pg_type t on t.oid = used.type
            cross join lateral (
                select t.typelem union all select t.typbasetype union all
                select a.atttypid from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
            ) part (type)
            where part.type <> 0
        ) select type from used)
    limit 1);
end $$;

-- millrace.broadcast_changes publishes each change of a table's rows when, and
-- only when, its transaction commits:
--
--   create trigger broadcast after insert or update or delete on orders
--       for each row execute function millrace.broadcast_changes('orders:{id}', 'columns=id,state');
--
-- The first argument is the channel, with column values in it. The second one,
-- which may be left out, chooses the columns to send; columns=["a,b","c"] is for
-- names with commas. What is published:
--
--   {"op": "update", "schema": "public", "table": "orders", "at": "2026-01-31T12:00:00.123456+00:00",
--    "new": {"id": 7, "state": "paid"}, "old": {"id": 7, "state": "open"}}
--
-- old is null of an insert, new of a delete. An update that changes nothing of
-- what is sent is not published; one that changes the channel goes to both. The
-- rules of millrace.publish hold, its limit of size among them: a row that is
-- too large fails its statement. Whoever may change the table needs no right on
-- the schema.
create function millrace.broadcast_changes() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    usage constant text := format('create trigger ... after insert or update or delete on %I.%I for each row execute '
        'function millrace.broadcast_changes(''%s:{id}'', ''columns=id,state'')', tg_table_schema, tg_table_name, tg_table_name);
    chosen text[];
    before jsonb;
    after jsonb;
    data jsonb;
    channels text[];
    cast_by text;
begin
    if tg_level <> 'ROW' or tg_when <> 'AFTER' then
        raise exception 'millrace.broadcast_changes: trigger % is not AFTER ... FOR EACH ROW', quote_ident(tg_name)
            using errcode = '39P01', hint = usage;
    end if;
    if tg_nargs not between 1 and 2 or coalesce(tg_argv[0], '') = '' or (tg_nargs = 2 and tg_argv[1] !~ '^columns=.') then
        raise exception 'millrace.broadcast_changes: trigger % has wrong arguments', quote_ident(tg_name)
            using errcode = '22023', hint = usage;
    end if;
    if tg_argv[1] like 'columns=[%' then
        chosen := array(select jsonb_array_elements_text(substr(tg_argv[1], 9)::jsonb));
    elsif tg_nargs = 2 then
        chosen := array(select btrim(c) from unnest(string_to_array(substr(tg_argv[1], 9), ',')) c);
    end if;
    cast_by := millrace.foreign_cast(tg_relid);
    if cast_by is not null then
        raise exception 'millrace.broadcast_changes: the cast to json by % would run with the rights of %', cast_by, current_user
            using errcode = '42501', hint = 'Drop the cast, or let its function belong to a superuser.';
    end if;
    if tg_op <> 'INSERT' then
        before := to_jsonb(old);
        channels := array[millrace.channel_from(tg_argv[0], before)];
    end if;
    if tg_op <> 'DELETE' then
        after := to_jsonb(new);
        channels := channels || millrace.channel_from(tg_argv[0], after);
    end if;
    before := millrace.chosen_columns(before, chosen);
    after := millrace.chosen_columns(after, chosen);
    if before = after and channels[1] = channels[2] then
        return null;
    end if;
    data := jsonb_build_object('op', lower(tg_op), 'schema', tg_table_schema, 'table', tg_table_name,
        'at', now(), 'new', after, 'old', before);
    perform millrace.publish(c, data) from (select distinct unnest(channels)) u (c);
    return null;
end $$;
