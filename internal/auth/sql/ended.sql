-- Keys and sessions whose time ended since $1 (null: none yet, only read the clock), with ten seconds of overlap for
-- transactions that committed after a sweep with an older now().
select now(),
       array(select id from millrace.api_key where revoked_at > $1::timestamptz - interval '10 seconds'
              union
             select id from millrace.api_key
              where expires_at > $1::timestamptz - interval '10 seconds' and expires_at <= now()),
       array(select encode(hash, 'hex') from millrace.web_session
              where expires_at > $1::timestamptz - interval '10 seconds' and expires_at <= now())
