import { known } from "./check.js";

/** How a job is run. Durations are texts such as "10s", "5m", "1h30m", or numbers of seconds. */
export interface JobOptions {
  queue?: string;
  /** 1 (first) to 4 (last) */
  priority?: number;
  maxAttempts?: number;
  /** of one attempt */
  timeout?: string | number;
  /** when the function is told that its timeout comes; shorter than it */
  softTimeout?: string | number;
  /** not before this time */
  runAt?: Date | string;
  /** not before this much time has passed */
  delay?: string | number;
  tags?: string[];
  /** Requests with one key and one content make one job. */
  idempotencyKey?: string;
}

const names = ["queue", "priority", "maxAttempts", "timeout", "softTimeout", "runAt", "delay", "tags", "idempotencyKey"] as const satisfies readonly (keyof JobOptions)[];

/** toWire is the options in the server's words, without those that are not set. */
export function toWire(options: JobOptions): Record<string, unknown> {
  known("a job's options", options, names);
  const { maxAttempts, softTimeout, runAt, idempotencyKey, ...same } = options;
  const wire: Record<string, unknown> = {
    ...same,
    max_attempts: maxAttempts,
    soft_timeout: softTimeout,
    run_at: runAt instanceof Date ? runAt.toISOString() : runAt,
    idempotency_key: idempotencyKey,
  };
  return Object.fromEntries(Object.entries(wire).filter(([, value]) => value !== undefined));
}
