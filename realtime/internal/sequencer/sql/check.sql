-- What the protocol needs of the database.
select pg_catalog.current_setting('server_encoding'),
       s.seqcache,
       s.seqincrement,
       pg_catalog.pg_is_in_recovery()
from pg_catalog.pg_sequence s
where s.seqrelid = 'millrace.outbox_id_seq'::pg_catalog.regclass
