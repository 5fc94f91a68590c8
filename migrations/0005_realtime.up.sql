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

-- top is the last offset given out in the epoch.
create table millrace.channel (
    channel    text        primary key,
    top        bigint      not null,
    epoch      text        not null,
    touched_at timestamptz not null default now()
) with (fillfactor = 50);

-- The history. Rows are deleted in bounded batches and not by dropping
-- partitions: a partition key would have to be part of the primary key, and
-- (channel, pos) alone is what keeps two writers from giving out one offset.
-- origin names the hand-over that a row came from, key its idempotency key.
create table millrace.message (
    channel    text        not null,
    pos        bigint      not null,
    epoch      text        not null,
    data       bytea       not null,
    meta       text,
    origin     text,
    created_at timestamptz not null default now(),
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
-- a finished snapshot's horizon cannot appear any more. size is about how many
-- bytes the row weighs in the batch that takes it.
create table millrace.outbox (
    xid     xid8     not null default pg_catalog.pg_current_xact_id(),
    id      bigint   generated always as identity (cache 1),
    shard   smallint not null default 0,
    channel text[]   not null,
    data    bytea[]  not null,
    meta    text[]   not null,
    key     text[]   not null,
    origin  text[]   not null,
    size    integer  not null check (size > 0),
    primary key (shard, id),
    constraint outbox_same_length check (
        cardinality(channel) > 0
        and cardinality(data) = cardinality(channel) and cardinality(meta) = cardinality(channel)
        and cardinality(key) = cardinality(channel) and cardinality(origin) = cardinality(channel)),
    constraint outbox_one_dimension check (
        array_ndims(channel) = 1 and array_ndims(data) = 1 and array_ndims(meta) = 1
        and array_ndims(key) = 1 and array_ndims(origin) = 1),
    constraint outbox_no_null check (
        array_position(channel, null) is null and array_position(data, null) is null)
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0);

-- The gate wakes the sequencer at the end of a transaction, and only while it
-- sleeps: a NOTIFY in each transaction would serialise all commits. The
-- sequencer holds the advisory lock (1835625580, shard) while it is awake. The
-- lock is taken for a moment and at session level: one that lasts to the end
-- of the transaction would keep the sequencer itself from taking it.
create function millrace.outbox_gate() returns trigger language plpgsql as $$
declare
    this_transaction constant text := pg_catalog.pg_current_xact_id()::text;
begin
    if pg_catalog.current_setting('millrace.gate', true) is distinct from this_transaction then
        perform pg_catalog.set_config('millrace.gate', this_transaction, true);
        if pg_catalog.pg_try_advisory_lock_shared(1835625580, new.shard) then
            perform pg_catalog.pg_advisory_unlock_shared(1835625580, new.shard);
            perform pg_catalog.pg_notify('millrace_wake', '');
        end if;
    end if;
    return null;
end $$;

create constraint trigger outbox_gate after insert on millrace.outbox
    deferrable initially deferred for each row execute function millrace.outbox_gate();

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

-- millrace.publish sends data to a channel when, and only when, the calling
-- transaction commits. It waits for nobody. What the channel's namespace does
-- not take is refused here: views like "jobs", data over its size (and over
-- 1 MiB in any), and in namespaces that are not binary what is not JSON.
-- options: {"idempotency_key": text} publishes once per channel and key within
-- ten minutes. A role needs USAGE on the schema to call it; nothing but this
-- function and millrace itself writes to the outbox.
create function millrace.publish(channel text, data bytea, options jsonb default '{}')
returns void language plpgsql security definer set search_path = '' as $$
declare
    unknown text;
    key constant text := nullif(options ->> 'idempotency_key', '');
    largest integer := 1048576;
    namespace millrace.namespace%rowtype;
begin
    if channel is null or data is null then
        raise exception 'millrace.publish: channel and data must not be null' using errcode = '22004';
    end if;
    if octet_length(channel) not between 1 and 255 or channel ~ '[\u0001-\u001f\u007f-\u009f]'
       or channel like ':%' or channel ~ '^[^:]+:$' then
        raise exception 'millrace.publish: invalid channel name %', quote_literal(left(channel, 255))
            using errcode = '22023', hint = '1 to 255 bytes without control characters, "name" or "namespace:name".';
    end if;
    select n.* into namespace from millrace.namespace n
    where n.name in (split_part(publish.channel, ':', 1), '')
    order by n.name = '', n.built_in = (n.name = '') limit 1;
    if namespace.read_only then
        raise exception 'millrace.publish: channel % is read-only', quote_literal(channel)
            using errcode = '42501', hint = 'It shows the state of something else; nobody publishes to it.';
    end if;
    largest := least(largest, namespace.max_size);
    if octet_length(data) > largest then
        raise exception 'millrace.publish: % bytes of data, the limit is %', octet_length(data), largest
            using errcode = '54000', hint = 'Publish a reference to a row instead.';
    end if;
    if namespace.any_bytes is not true then
        perform convert_from(data, 'UTF8')::json; -- raises 22021 or 22P02 when it is not JSON
    end if;
    select k into unknown from jsonb_object_keys(coalesce(options, '{}')) k where k <> 'idempotency_key' limit 1;
    if unknown is not null then
        raise exception 'millrace.publish: unknown option %', quote_literal(unknown)
            using errcode = '22023', hint = 'The options are: idempotency_key.';
    end if;
    if octet_length(key) > 255 then
        raise exception 'millrace.publish: idempotency_key of % bytes, the limit is 255', octet_length(key)
            using errcode = '22023';
    end if;
    insert into millrace.outbox (channel, data, meta, key, origin, size)
    values (array[publish.channel], array[publish.data], array[null::text], array[key], array[null::text],
            octet_length(channel) + octet_length(data) + 256);
end $$;

create function millrace.publish(channel text, data jsonb, options jsonb default '{}')
returns void language sql as $$
    select millrace.publish(channel, pg_catalog.convert_to(data::text, 'UTF8'), options)
$$;

-- The form for JSON that is still text, literals included. It is published as
-- it is written.
create function millrace.publish(channel text, data text, options jsonb default '{}')
returns void language sql as $$
    select millrace.publish(channel, pg_catalog.convert_to(data, 'UTF8'), options)
$$;
