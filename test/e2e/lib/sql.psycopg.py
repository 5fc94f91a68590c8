"""The example for psycopg2 in docs/sql.md, as a program: enqueues in a transaction and prints the job's id."""
import json
import os
import sys

import psycopg2
from psycopg2.extras import Json

name, order = sys.argv[1], json.loads(sys.argv[2])

connection = psycopg2.connect(os.environ["DATABASE_URL"])
try:
    with connection, connection.cursor() as cursor:  # commits, or rolls back when an exception passes
        cursor.execute("insert into " + sys.argv[3] + " (id) values (%s)", (order["id"],))
        cursor.execute(
            "select millrace.enqueue(%s, %s, %s)",
            (name, Json(order), Json({"delay": "1ms", "idempotency_key": "order-" + str(order["id"])})),
        )
        (job,) = cursor.fetchone()
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute("select millrace.enqueue(%s, %s, %s)", (name, Json(order), Json({"prio": 1})))
        except psycopg2.errors.InvalidParameterValue as error:
            connection.rollback()
            print(json.dumps({"job": str(job), "error": error.diag.message_primary, "hint": error.diag.message_hint}))
finally:
    connection.close()
