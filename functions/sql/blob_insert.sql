insert into millrace.blob (digest, data)
select digest, data
  from unnest($1::bytea[], $2::bytea[]) as new (digest, data)
    on conflict (digest) do nothing
