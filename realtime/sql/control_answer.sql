-- Answers question $1 as hub $2, and takes a few answers away that nobody fetched.
with stale as (
    delete from millrace.control_answer where ctid = any (array(
        select ctid from millrace.control_answer where created_at < now() - interval '1 minute' limit 100 for update skip locked))
), given as (
    insert into millrace.control_answer (question, hub, answer) values ($1::text::uuid, $2, $3)
    on conflict (question, hub) do nothing
)
select pg_notify('millrace_control', $1::text)
