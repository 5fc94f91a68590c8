-- The delete decides who of two at once gets in.
delete from millrace.login_link where hash = $1 and expires_at > now() returning key_id
