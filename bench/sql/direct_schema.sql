-- Direct publishing: each instance takes the offsets itself, by raising top.
create schema if not exists bench;
drop table if exists bench.direct_channel, bench.direct_message;
create table bench.direct_channel (
    channel text   primary key,
    top     bigint not null
) with (fillfactor = 50);
create table bench.direct_message (
    channel    text        not null,
    pos        bigint      not null,
    data       text        not null,
    created_at timestamptz not null default now(),
    primary key (channel, pos)
);
