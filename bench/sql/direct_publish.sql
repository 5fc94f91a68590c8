-- Numbers, stores and notifies a batch, and returns the offsets in its order.
-- The channels' rows are locked in the order of their names, until the commit.
with input as (
    select u.channel, u.data, u.ord, row_number() over (partition by u.channel order by u.ord) as nth
    from unnest($1::text[], $2::text[]) with ordinality as u (channel, data, ord)
), counted as (
    select channel, count(*) as messages from input group by channel
), tops as (
    insert into bench.direct_channel as c (channel, top)
    select channel, messages from counted order by channel
    on conflict (channel) do update set top = c.top + excluded.top
    returning c.channel, c.top
), numbered as materialized (
    select i.ord, i.channel, i.data, t.top - k.messages + i.nth as pos
    from input i join counted k on k.channel = i.channel join tops t on t.channel = i.channel
), stored as (
    insert into bench.direct_message (channel, pos, data) select channel, pos, data from numbered
), lines as (
    select ord, channel || E'\t' || pos || E'\t' || data || E'\n' as line from numbered
), filled as (
    select ord, line, sum(pg_catalog.octet_length(line)) over (order by ord) / 7000 as payload from lines
), payloads as (
    select pg_catalog.string_agg(line, '' order by ord) as text
    from filled group by payload order by payload
), told as materialized (
    select count(pg_catalog.pg_notify('bench_direct', text)) as payloads from payloads
)
select n.pos from numbered n cross join told order by n.ord
