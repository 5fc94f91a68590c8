insert into millrace.function_version (function, version, digest, runtime, entry, config, code, source_map)
values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (function, version) do nothing
