-- For millrace.enqueue: the bytes of an input.
update millrace.job_setting set max_input = $1 where max_input <> $1
