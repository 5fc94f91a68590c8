-- Fetches the answers to question $1 that are there.
delete from millrace.control_answer where question = $1::text::uuid returning hub, answer
