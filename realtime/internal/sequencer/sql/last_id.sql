-- The last id drawn. The sequence's last_value before its first use is an id
-- that is still to come.
select case when is_called then last_value else last_value - 1 end from millrace.outbox_id_seq
