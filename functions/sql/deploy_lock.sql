lock table millrace.function in share row exclusive mode
