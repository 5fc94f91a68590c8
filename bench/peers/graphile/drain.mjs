// node drain.mjs DATABASE_URL JOBS
// Fills graphile-worker's queue with no-op jobs, prints {"filled": true} and
// waits for a line. Then it works the queue off with the settings that drain
// fastest, and prints {"rate": jobs per second}: from the first start to the
// moment when no job is left. It ends at the next line.
import { createInterface } from 'node:readline';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';

const [, , url, count] = process.argv;
const jobs = Number(count);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const pool = new pg.Pool({ connectionString: url, max: 40 });
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
await pool.query('truncate graphile_worker._private_jobs');

const payload = { pad: 'x'.repeat(64) };
for (let i = 0; i < jobs; i += 1000) {
  const size = Math.min(1000, jobs - i);
  await utils.addJobs(Array.from({ length: size }, () => ({ identifier: 'noop', payload })));
}
await pool.query('vacuum analyze graphile_worker._private_jobs');
console.log(JSON.stringify({ filled: true }));
await lines.next();

let first = 0;
let done = 0;
const taskList = {
  noop: async () => {
    first ||= performance.now();
    done++;
  },
};
const runner = await run({
  pgPool: pool, taskList, logger, noHandleSignals: true,
  preset: {
    worker: {
      concurrentJobs: 24,
      localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
});

const left = async () =>
  (await pool.query('select count(*)::int as n from graphile_worker._private_jobs')).rows[0].n;
while (done < jobs || (await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 2));
const seconds = (performance.now() - first) / 1000;
console.log(JSON.stringify({ rate: jobs / seconds }));
await lines.next();
await runner.stop();
process.exit(0);
