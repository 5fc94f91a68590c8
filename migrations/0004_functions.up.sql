-- Bytes by their SHA-256: the files of functions and what was built of them.
-- The same content is stored once, however many versions hold it.
create table millrace.blob (
    digest     bytea       primary key check (octet_length(digest) = 32),
    data       bytea       not null,
    created_at timestamptz not null default now()
);

-- The live pointer. revision grows with every change over all functions, in
-- the order of the commits, since whoever changes this table locks it first:
-- an instance asks for what is newer than the last revision that it has seen.
create sequence millrace.function_revision;
create table millrace.function (
    name         text        primary key,
    live_version text,       -- null: removed, its versions stay for jobs under way
    revision     bigint      not null,
    updated_at   timestamptz not null default now()
);
create index function_revision_idx on millrace.function (revision);

-- A version never changes: it is the content that its name is the hash of.
create table millrace.function_version (
    function   text        not null references millrace.function (name),
    version    text        not null,
    digest     bytea       not null,  -- version is the beginning of it, in hexadecimal
    runtime    text        not null,
    entry      text        not null,
    config     jsonb       not null,
    code       bytea       not null references millrace.blob (digest),
    source_map bytea       references millrace.blob (digest),
    created_at timestamptz not null default now(),
    primary key (function, version)
);
alter table millrace.function
    add foreign key (name, live_version) references millrace.function_version (function, version);

create table millrace.function_file (
    function text  not null,
    version  text  not null,
    path     text  not null,
    content  bytea not null references millrace.blob (digest),
    primary key (function, version, path),
    foreign key (function, version) references millrace.function_version (function, version)
);

create function millrace.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is immutable', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger immutable before update on millrace.function_version
    for each row execute function millrace.refuse_change();
create trigger immutable before update on millrace.function_file
    for each row execute function millrace.refuse_change();
create trigger immutable before update on millrace.blob
    for each row execute function millrace.refuse_change();
