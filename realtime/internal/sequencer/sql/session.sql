-- A stopped or cut-off owner must lose its lock: the server ends a session that
-- has been silent for two seconds, in or out of a transaction.
select pg_catalog.set_config('idle_session_timeout', '2s', false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '2s', false),
       pg_catalog.set_config('statement_timeout', '10s', false),
       pg_catalog.set_config('tcp_user_timeout', '5000', false),
       -- The outbox is empty when statistics are taken and full when it matters.
       pg_catalog.set_config('enable_seqscan', 'off', false),
       -- Where there is no index, that setting makes a scan look dear enough to
       -- compile, which takes half a second.
       pg_catalog.set_config('jit', 'off', false)
