-- Which hand-overs were published, and where.
select origin, pos, epoch from millrace.message where channel = any ($1) and origin = any ($2)
