-- A stopped or cut-off owner must lose its lock. Its other connection may be busy with a commit for three seconds.
select pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true)
