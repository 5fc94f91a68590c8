select coalesce(max(revision), 0)
  from millrace.function
