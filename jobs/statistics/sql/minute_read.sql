select at, function, completed, failed, dead, cancelled, wait, run
from millrace.function_stat
where seconds = $1 and at >= $2 and at < $3
limit $4
