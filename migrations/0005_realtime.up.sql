-- Channels, their history, and the way in. The protocol over these tables is
-- described in realtime/internal/sequencer/doc.go.

-- The sequencer's fence: whoever raises term is the only writer from then on.
-- seq counts the batches that were committed.
create table millrace.shard (
    shard smallint primary key,
    term  bigint   not null default 0,
    seq   bigint   not null default 0
) with (fillfactor = 10);

insert into millrace.shard (shard) values (0);

-- A term that is over, and the last batch that was committed in it: how a
-- writer learns the outcome of a commit that was never answered.
create table millrace.shard_term (
    shard    smallint    not null,
    term     bigint      not null,
    seq      bigint      not null,
    ended_at timestamptz not null default now(),
    primary key (shard, term)
);

-- What the epochs of channels are made of. A channel without a row is at offset
-- 0 of the epoch fresh, with which it is made when somebody publishes to it; so
-- nothing is written for whoever subscribes first. fresh is replaced from time to
-- time: a channel that was forgotten comes back with another one.
-- crashes counts the crashes of the server, which may take what it did not wait
-- for the disk with; losses counts the times that it came back without something
-- that it had waited for.
create table millrace.epoch (
    shard       smallint    primary key,
    fresh       text        not null,
    fresh_since timestamptz not null default now(),
    crashes     integer     not null default 0,
    losses      integer     not null default 0
);

create function millrace.new_epoch() returns text language sql volatile as $$
    select pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 8)
$$;

insert into millrace.epoch (shard, fresh) values (0, millrace.new_epoch());

-- Has the shard's row for as long as the server has not crashed: what is in an
-- unlogged table does not outlive that, nor does it come along to a standby.
create unlogged table millrace.crash_mark (shard smallint primary key);

-- top is the last offset given out in the epoch, version the last one published.
-- crashes and losses are millrace.epoch's when the channel was made; crashes is
-- null where no publication of it may be lost in a crash.
create table millrace.channel (
    channel       text        primary key,
    top           bigint      not null,
    epoch         text        not null,
    version       bigint,
    version_epoch text,
    crashes       integer,
    losses        integer     not null default 0,
    touched_at    timestamptz not null default now()
) with (fillfactor = 50);

-- What is added to an epoch after something of it was lost.
create function millrace.epoch_suffix(crashes integer, crashes_now integer, losses integer, losses_now integer)
returns text language sql immutable as $$
    select case when crashes < crashes_now then '.c' || crashes_now else '' end
        || case when losses < losses_now then '.l' || losses_now else '' end
$$;

-- Channels with the epoch that readers see. stored_epoch is that of their messages.
create view millrace.channel_position as
select c.channel, c.top, c.epoch stored_epoch,
       c.epoch || millrace.epoch_suffix(c.crashes, e.crashes, c.losses, e.losses) epoch, c.version, c.version_epoch
from millrace.channel c
join millrace.epoch e on e.shard = 0;

-- The history. Rows are deleted in bounded batches and not by dropping
-- partitions: a partition key would have to be part of the primary key, and
-- (channel, pos) alone is what keeps two writers from giving out one offset.
-- origin names the hand-over that a row came from. After expires_at no history
-- shows the row.
create table millrace.message (
    channel    text        not null,
    pos        bigint      not null,
    epoch      text        not null,
    data       bytea       not null,
    meta       text,
    origin     text,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    primary key (channel, pos)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 1);

-- The position that a publish with an idempotency key got.
create table millrace.publish_key (
    channel    text        not null,
    key        text        not null,
    pos        bigint      not null,
    epoch      text        not null,
    created_at timestamptz not null default now(),
    primary key (channel, key)
);

create index publish_key_created_at on millrace.publish_key (created_at);

-- The way in for transactions and for the instances that are not the
-- sequencer: one row holds the publications of one hand-over, in their order.
-- xid stands first so that it is assigned before id is drawn, and the sequence
-- caches nothing: the order of ids is then the causal order, and an id below
-- a finished snapshot's horizon cannot appear any more. meta, key, origin and
-- options (JSON) are null where none of the publications has any. size is about
-- how many bytes the row weighs in the batch that takes it. That the arrays have
-- one length is no constraint, which would take half the time of a publish:
-- millrace alone writes here, and rows of another shape are left out when they
-- are taken.
--
-- The gate: whoever has inserted into the outbox wakes the sequencer with the
-- commit, and only while it sleeps, since a NOTIFY in each transaction would
-- serialise all commits. The sequencer holds the advisory lock (1835625580, shard)
-- while it is awake. Who gets that lock notifies, and gives it back at once and at
-- session level: one that lasts to the end of the transaction would keep the
-- sequencer itself from taking it. Both are one expression: between two of them a
-- statement can be cancelled, and the session would keep the lock for good. The
-- gate is asked as the row is written and not at the commit, by a deferred trigger,
-- which would take a third of the time of a publish: the sequencer does not sleep
-- before the transactions that saw it awake have ended.
create table millrace.outbox (
    xid     xid8     not null default pg_catalog.pg_current_xact_id(),
    id      bigint   generated always as identity (cache 1),
    shard   smallint not null default 0,
    channel text[]   not null,
    data    bytea[]  not null,
    meta    text[],
    key     text[],
    origin  text[],
    options text[],
    size    integer  not null,
    primary key (shard, id)
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0);

-- The settings of families of channels. Built-in ones are of the instances'
-- configuration: each instance writes its own as it starts, for millrace.publish
-- to know, so they are those of the last one. The others are edited by the API
-- and live on every instance. Of the default namespace '' the stored one goes
-- first, of the others the built-in one.
create table millrace.namespace (
    name           text        not null check (name !~ ':' and octet_length(name) <= 255),
    built_in       boolean     not null,
    read_only      boolean     not null, -- a view: nobody publishes
    history_size   integer     not null check (history_size >= 0),
    history_ttl    interval    not null check (history_ttl >= interval '0'),
    ephemeral      boolean     not null,
    personal       boolean     not null,
    any_bytes      boolean     not null,
    max_size       integer     not null check (max_size > 0),
    subscribe      text        not null check (subscribe in ('key', 'user', 'anyone')),
    publish        text        not null check (publish in ('key', 'user', 'anyone')),
    presence_rule  text        not null check (presence_rule in ('key', 'user', 'anyone')),
    history_rule   text        not null check (history_rule in ('key', 'user', 'anyone')),
    presence       boolean     not null,
    join_leave     boolean     not null,
    delta          boolean     not null,
    cache_recovery boolean     not null,
    relaxed        boolean     not null,
    publish_rate   integer     not null check (publish_rate >= 0), -- a second and connection; 0: the instance's
    updated_at     timestamptz not null default now(),
    primary key (name, built_in)
);

-- The checks of a publication's options, raised as errors. It returns what the
-- writer has to know of them, null where that is nothing.
create function millrace.publish_options(options jsonb, history_size integer, longest_ttl interval)
returns text language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    keeps constant boolean := history_size is null or history_size > 0;
    version numeric;
    history_ttl numeric;
    wrong text;
begin
    select k into wrong from jsonb_object_keys(options) k
    where k not in ('idempotency_key', 'version', 'version_epoch', 'tags', 'history_ttl') limit 1;
    if wrong is not null then
        raise exception 'millrace.publish: unknown option %', quote_literal(wrong)
            using errcode = '22023', hint = 'The options are: idempotency_key, version, version_epoch, tags, history_ttl.';
    end if;
    select o.key into wrong from jsonb_each(options) o
    where jsonb_typeof(o.value) <> case when o.key = 'tags' then 'object'
        when o.key in ('version', 'history_ttl') then 'number' else 'string' end limit 1;
    if wrong is not null then
        raise exception 'millrace.publish: option % is a %', wrong, jsonb_typeof(options -> wrong)
            using errcode = '22023', hint = 'tags is an object, version and history_ttl are numbers, the others strings.';
    end if;
    version := (options ->> 'version')::numeric;
    history_ttl := (options ->> 'history_ttl')::numeric;
    case
        when octet_length(options ->> 'idempotency_key') > 255 or octet_length(options ->> 'version_epoch') > 255 then
            wrong := 'idempotency_key and version_epoch have at most 255 bytes';
        when version <> trunc(version) or version not between 0 and 9223372036854775807 then
            wrong := 'version is a whole number from 0 to 9223372036854775807';
        when coalesce(version, 0) = 0 and options ->> 'version_epoch' <> '' then
            wrong := 'version_epoch goes with a version';
        when (version > 0 or history_ttl > 0) and not keeps then
            wrong := 'version and history_ttl need a channel with history';
        when history_ttl < 0 or history_ttl > extract(epoch from longest_ttl) then
            wrong := format('history_ttl is between 0 and the namespace''s %s seconds', extract(epoch from longest_ttl));
        when (select count(*) > 16 or sum(octet_length(t.key) + octet_length(t.value)) > 1024
              from jsonb_each_text(options -> 'tags') t) then
            wrong := 'there are at most 16 tags, of together 1024 bytes';
        when exists (select from jsonb_each(options -> 'tags') t where t.key = '' or jsonb_typeof(t.value) <> 'string') then
            wrong := 'tags have names, and strings as values';
        else null;
    end case;
    if wrong is not null then
        raise exception 'millrace.publish: %', wrong using errcode = '22023';
    end if;
    if version > 0 or history_ttl > 0 then
        return jsonb_strip_nulls(jsonb_build_object('version', nullif(version, 0), 'history_ttl', nullif(history_ttl, 0),
            'version_epoch', nullif(options ->> 'version_epoch', '')))::text;
    end if;
    return null;
end $$;

-- Raises what is wrong with a publication that millrace.publish does not take.
create function millrace.refuse_publication(channel text, data bytea, read_only boolean, max_size integer)
returns void language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if channel is null or data is null then
        raise exception 'millrace.publish: channel and data must not be null' using errcode = '22004';
    elsif read_only then
        raise exception 'millrace.publish: channel % is read-only', quote_literal(channel)
            using errcode = '42501', hint = 'It shows the state of something else; nobody publishes to it.';
    elsif octet_length(data) > max_size then
        raise exception 'millrace.publish: % bytes of data, the limit is %', octet_length(data), max_size
            using errcode = '54000', hint = 'Publish a reference to a row instead.';
    end if;
    raise exception 'millrace.publish: invalid channel name %', quote_literal(left(channel, 255))
        using errcode = '22023', hint = '1 to 255 bytes without control characters, "name" or "namespace:name".';
end $$;

-- The long way of millrace.publish: with options, or with what is refused. pg_temp
-- is named, and last, in the paths of all that may run with millrace's rights:
-- where it is not named it goes first, and anybody may make a type "text" there
-- that runs a function.
create function millrace.publish_anyhow(channel text, data bytea, options jsonb)
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    family constant text := split_part(channel, ':', 1);
    given jsonb;
    for_writer text;
    meta text;
    idempotency_key text;
    read_only boolean;
    any_bytes boolean;
    max_size integer;
    history_size integer;
    history_ttl interval;
begin
    select n.read_only, n.any_bytes, n.max_size, n.history_size, n.history_ttl
    into read_only, any_bytes, max_size, history_size, history_ttl
    from millrace.namespace n
    where n.name in (family, '')
    order by n.name = '', n.built_in = (n.name = '') limit 1;
    if (octet_length(channel) between 1 and 255 and channel !~ '[\u0001-\u001f\u007f-\u009f]'
        and family <> '' and channel <> family || ':' and read_only is not true
        and octet_length(data) <= least(1048576, max_size)
        -- raises 22021 or 22P02 when it is not JSON
        and (any_bytes or convert_from(data, 'UTF8')::json is not null)) is not true then
        perform millrace.refuse_publication(channel, data, read_only, least(1048576, max_size));
    end if;
    if options <> '{}' and options <> 'null' then
        if jsonb_typeof(options) <> 'object' then
            raise exception 'millrace.publish: options must be an object, not a %', jsonb_typeof(options) using errcode = '22023';
        end if;
        given := jsonb_strip_nulls(options);
        for_writer := millrace.publish_options(given, history_size, history_ttl);
        idempotency_key := nullif(given ->> 'idempotency_key', '');
        if given -> 'tags' <> '{}' then
            meta := jsonb_build_object('tags', given -> 'tags')::text;
        end if;
    end if;
    insert into millrace.outbox (channel, data, meta, key, options, size)
    values (array[channel], array[data], case when meta is not null then array[meta] end,
            case when idempotency_key is not null then array[idempotency_key] end,
            case when for_writer is not null then array[for_writer] end,
            octet_length(channel) + octet_length(data) + coalesce(octet_length(meta), 0) + 256);
    if (case when pg_try_advisory_lock_shared(1835625580, 0) then pg_advisory_unlock_shared(1835625580, 0) end) then
        perform pg_notify('millrace_wake', '');
    end if;
end $$;

-- millrace.publish sends data to a channel when, and only when, the calling
-- transaction commits. It waits for nobody. What the channel's namespace does
-- not take is refused here: views like "jobs", data over its size (and over
-- 1 MiB in any), and in namespaces that are not binary what is not JSON.
-- options:
--   idempotency_key  text: publishes once per channel and key within ten minutes
--   version          number: skipped unless above the channel's last version
--   version_epoch    text: the count that version belongs to; a new one skips nothing
--   tags             {text: text}: travel with the publication
--   history_ttl      seconds: then it leaves the history
-- A role needs USAGE on the schema to call it; nothing but this function and
-- millrace itself writes to the outbox.
-- data is bytea, jsonb, or text: JSON that is published as it is written, literals
-- included.
--
-- The short way, without options, is one statement: every statement and every
-- expression of a function costs something in each transaction anew, and so would a
-- function around this one. Hence one text for the three forms, which differ in how
-- data becomes bytes and in whether those may be something else than JSON. The bytes
-- come out of a query of their own (offset 0), or the check for JSON would be made
-- as the statement is planned, in namespaces that take any bytes, too.
do $do$
declare
    form record;
begin
    for form in values
        ('bytea', 'data', $$convert_from(given.bytes, 'UTF8')::json is not null$$),
        ('jsonb', $$convert_to(data::text, 'UTF8')$$, 'true'),
        ('text', $$convert_to(data, 'UTF8')$$, $$convert_from(given.bytes, 'UTF8')::json is not null$$)
    loop
        execute pg_catalog.format($format$
create function millrace.publish(channel text, data %1$s, options jsonb default '{}')
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    done boolean;
begin
    insert into millrace.outbox (channel, data, size)
    select array[channel], array[given.bytes], octet_length(channel) + octet_length(given.bytes) + 256
    from (select %2$s bytes offset 0) given
    left join lateral (
        select n.read_only, n.any_bytes, n.max_size
        from millrace.namespace n
        where n.name in (split_part(channel, ':', 1), '')
        order by n.name = '', n.built_in = (n.name = '') limit 1) n on true
    where options = '{}' and octet_length(channel) <= 255
        and channel !~ '[\u0001-\u001f\u007f-\u009f]|^$|^:|^[^:]*:$'
        and n.read_only is not true and octet_length(given.bytes) <= least(1048576, n.max_size)
        and (n.any_bytes or %3$s)
    returning case when case when pg_try_advisory_lock_shared(1835625580, 0) then pg_advisory_unlock_shared(1835625580, 0) end
              then pg_notify('millrace_wake', '') end is null into done;
    if done is null then
        perform millrace.publish_anyhow(channel, %2$s, options);
    end if;
end $$$format$, form.column1, form.column2, form.column3);
    end loop;
end $do$;
