-- Holds the term until the transaction ends; no row when it is over. The server
-- ends a transaction whose owner says nothing more: behind a proxy the session
-- has no such setting of its own, and nobody could begin a term.
select pg_catalog.set_config('idle_in_transaction_session_timeout', '2s', true)
from millrace.shard where shard = $1 and term = $2 for update
