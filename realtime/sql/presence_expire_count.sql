-- Tells hub $1, should it come back, that members were taken away.
update millrace.hub set expirations = expirations + 1 where id = $1
