-- Deletes the oldest lines of job $1 beyond the last $2 lines and $3 bytes, and writes $4 into the newest of those.
with counted as (
    select seq, row_number() over (order by seq desc) as lines,
        sum(octet_length(message) + coalesce(octet_length(fields::text), 0) + 64) over (order by seq desc) as bytes
    from millrace.job_log
    where job_id = $1
), cut as (
    select max(seq) as seq from counted where lines > $2 or bytes > $3
), gone as (
    delete from millrace.job_log where job_id = $1 and seq < (select seq from cut)
)
update millrace.job_log
set level = 'warn', message = $4, fields = null
where job_id = $1 and seq = (select seq from cut)
