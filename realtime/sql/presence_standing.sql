-- Keeps hub $1 from being expired before this transaction ends.
select h.registered_at, h.expirations from millrace.hub h where h.id = $1 for key share
