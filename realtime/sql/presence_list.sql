select p.client, p.user_id, p.conn_info, p.chan_info
from millrace.presence p
where p.channel = $1
order by p.client
limit $2
