/** Where a job stands. The last three are final. */
export type JobState = "scheduled" | "queued" | "running" | "retrying" | "completed" | "failed" | "cancelled";

/** Why an attempt failed. */
export interface Failure {
  /** exception, timeout, memory_limit, stalled, worker_lost, … */
  code: string;
  message: string;
  stack?: string;
  retryable?: boolean;
}

/** What a running function reported last. */
export interface Progress {
  /** 0 to 100 */
  percent: number;
  message: string;
  /** RFC 3339 */
  at: string;
}

/** One line that a function logged. */
export interface LogLine {
  seq: string;
  attempt: number;
  at: string;
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields?: Record<string, unknown>;
}

/** One durable call of a function. Times are RFC 3339, ids are strings of digits. */
export interface Job<Output = unknown, Input = unknown> {
  id: string;
  function: string;
  state: JobState;
  input: Input;
  /** null until the job completed, and where `omitted` names it */
  output: Output | null;
  error: Failure | null;
  attempt: number;
  max_attempts: number;
  queue: string;
  /** 1 (first) to 4 (last) */
  priority: number;
  progress: Progress | null;
  version: string;
  tags: string[];
  created_at: string;
  scheduled_at: string;
  started_at: string | null;
  finished_at: string | null;
  node: string;
  /** "input" and "output", where they are null only because they are large */
  omitted?: ("input" | "output")[];
}

/** Whether the job will not run again unless somebody retries it. */
export function isFinished(job: Pick<Job, "state">): boolean {
  return job.state === "completed" || job.state === "failed" || job.state === "cancelled";
}

/** A message of the channel `job:<id>`. The first one of a subscription is a snapshot. */
export type JobMessage<Output = unknown> =
  | { type: "snapshot" | "state"; job: Job<Output> }
  | { type: "progress"; progress: Progress }
  | { type: "log"; line: LogLine };
