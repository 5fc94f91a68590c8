select top, epoch from millrace.channel where channel = $1
