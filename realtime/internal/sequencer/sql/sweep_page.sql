-- The next channels in the order of their names.
select channel, top from millrace.channel where channel > $1 order by channel limit $2
