-- Takes away the lease of hub $1, whose members have left.
delete from millrace.hub h where h.id = $1 and not exists (select from millrace.presence p where p.hub = h.id)
