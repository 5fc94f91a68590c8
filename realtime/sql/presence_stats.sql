select count(*), count(distinct p.user_id) from millrace.presence p where p.channel = $1
