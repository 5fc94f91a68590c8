// Jobs by SQL, inside the transactions of programs that know Postgres only: node-postgres and psycopg.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import pg from "pg";

import { Api, unique } from "../lib/api.js";

const api = new Api();
const finished = (id) => api.call("GET", `/v1/jobs/${id}?wait=10s`);

// A role that may do no more than a program's own: USAGE on the schema.
const role = unique("app_");
const owner = new pg.Client({ connectionString: process.env.DATABASE_URL });
before(async () => {
  await owner.connect();
  await owner.query(`create role ${role}; grant usage on schema millrace to ${role}`);
});
after(async () => {
  await owner.query(`drop owned by ${role}; drop role ${role}`);
  await owner.end();
});

async function connect(t) {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  t.after(() => client.end());
  await client.connect();
  await client.query(`set role ${role}`);
  return client;
}

async function enqueue(client, name, input = null, options = {}) {
  const { rows } = await client.query("select millrace.enqueue($1, $2, $3) as job", [
    name, JSON.stringify(input), JSON.stringify(options),
  ]);
  return rows[0].job;
}

test("node-postgres: a job runs when its transaction commits, and not before", async (t) => {
  const client = await connect(t);
  await client.query("begin");
  const job = await enqueue(client, "hello", { name: "SQL" }, { tags: ["by-sql"], timeout: "30s" });
  await api.call("GET", `/v1/jobs/${job}`, undefined, { expect: 404 });
  await client.query("commit");

  const done = await finished(job);
  assert.equal(done.state, "completed");
  assert.deepEqual(done.output, { hello: "SQL" });
  assert.deepEqual(done.tags, ["by-sql"]);

  await client.query("begin");
  const never = await enqueue(client, "hello");
  await client.query("rollback");
  await api.call("GET", `/v1/jobs/${never}`, undefined, { expect: 404 });
});

test("node-postgres: one job for one key, from many transactions", async (t) => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(t)));
  const key = unique("key-");
  const ids = await Promise.all(clients.map((client) => enqueue(client, "hello", { name: key }, { idempotency_key: key })));
  assert.equal(new Set(ids).size, 1);
  await assert.rejects(enqueue(clients[0], "hello", { name: "another" }, { idempotency_key: key }),
    { code: "23505", detail: `It stands for job ${ids[0]}.` });
});

test("node-postgres: cancel ends a job that runs, retry runs it again", async (t) => {
  const client = await connect(t);
  const job = await enqueue(client, "steps", { steps: 1, pauseMs: 60_000 });
  while ((await api.call("GET", `/v1/jobs/${job}`)).state !== "running") {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { rows } = await client.query("select millrace.cancel($1) as state", [job]);
  assert.equal(rows[0].state, "running");
  assert.equal((await finished(job)).state, "cancelled");

  const later = await enqueue(client, "hello", { name: "later" }, { delay: "1h" });
  await client.query("select millrace.retry($1)", [later]);
  assert.deepEqual((await finished(later)).output, { hello: "later" });
  await assert.rejects(client.query("select millrace.retry($1)", [later]), { code: "55000", message: /is completed$/ });
});

test("node-postgres: what is wrong is said with a code and a hint", async (t) => {
  const client = await connect(t);
  await assert.rejects(enqueue(client, "no.such"), { code: "42704", message: "millrace.enqueue: unknown function 'no.such'" });
  await assert.rejects(enqueue(client, "hello", null, { prio: 1 }), { code: "22023", hint: /^The options are: queue, / });
  await assert.rejects(enqueue(client, "hello", "x".repeat(5 << 20)), { code: "54000" });
});

test("psycopg: enqueues in a transaction", async (t) => {
  const python = (...args) => promisify(execFile)("/usr/bin/python3", args); // the distribution's, whose package it is
  try {
    await python("-c", "import psycopg2");
  } catch {
    assert.ok(!process.env.CI, "CI has python3-psycopg2");
    return t.skip("there is no python3-psycopg2");
  }
  const table = unique("orders_");
  await owner.query(`create table ${table} (id int)`);
  t.after(() => owner.query(`drop table ${table}`));

  const id = Math.floor(Math.random() * 2 ** 31);
  const program = fileURLToPath(new URL("../lib/sql.psycopg.py", import.meta.url));
  const { stdout } = await python(program, "hello", JSON.stringify({ id, name: "psycopg" }), table);
  const { job, error, hint } = JSON.parse(stdout);
  assert.deepEqual((await finished(job)).output, { hello: "psycopg" });
  assert.equal(error, "millrace.enqueue: 'prio' is no option");
  assert.match(hint, /^The options are: /);
  assert.deepEqual((await owner.query(`select id from ${table}`)).rows, [{ id }]);
});
