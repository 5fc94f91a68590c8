-- A row if there was something to cancel. $2: a job that runs as well.
select c.state from millrace.cancel_job($1, $2) c (state) where c.state is not null
