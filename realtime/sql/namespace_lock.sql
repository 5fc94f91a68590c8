-- One instance at a time; readers do not wait.
lock table millrace.namespace in share row exclusive mode
