-- Removes the built-in namespaces that the configuration has no more.
delete from millrace.namespace where built_in and name <> all ($1)
