import { address, credential, known, unreachable } from "./check.js";
import { JobError, MillraceError } from "./errors.js";
import { isFinished, type Job, type JobState } from "./job.js";
import { toWire, type JobOptions } from "./options.js";

export interface ClientConfig {
  /** the server's address: "https://jobs.example.com" */
  url: string;
  /** an API key, or what gets one; keys belong on servers, not into pages */
  key: string | (() => string | Promise<string>);
  /** instead of the global fetch */
  fetch?: typeof globalThis.fetch;
}

/** One of many submissions. */
export interface Submission {
  function: string;
  input?: unknown;
  options?: JobOptions;
}

/** What became of one of many submissions: a stored job, `replayed` if its idempotency key had made it before, or an error. */
export type SubmissionResult =
  | { id: string; state: JobState; replayed: boolean; error?: undefined }
  | { id?: undefined; error: MillraceError };

/** Where a publication is in its channel's history. */
export interface Published {
  offset: string;
  epoch: string;
  /** the idempotency key had published it before */
  repeated?: boolean;
}

/** the longest that the server holds back an answer */
const longestWait = 60;

/** Client submits jobs over HTTP and awaits them. */
export class Client {
  readonly #url: string;
  readonly #key: () => string | Promise<string>;
  readonly #fetch: typeof globalThis.fetch;

  constructor(config: ClientConfig) {
    known("Client", config, ["url", "key", "fetch"]);
    const { url, key, fetch = globalThis.fetch } = config;
    this.#url = address(url);
    this.#key = credential(key);
    this.#fetch = fetch.bind(globalThis);
  }

  /** submit makes a durable job; when it resolves, the job is stored. */
  submit<Output = unknown>(name: string, input: unknown = null, options: JobOptions = {}, signal?: AbortSignal): Promise<Job<Output>> {
    return this.#call("POST", "/v1/jobs", { function: name, input, options: toWire(options) }, signal);
  }

  /**
   * run submits a job and resolves with its output. It throws JobError when the job fails or is cancelled, and
   * the signal's reason when that aborts first: the job goes on then.
   */
  async run<Output = unknown>(name: string, input: unknown = null, options: JobOptions = {}, signal?: AbortSignal): Promise<Output> {
    const submission = { function: name, input, options: toWire(options) };
    const job = await this.#call<Job<Output>>("POST", `/v1/jobs?wait=${longestWait}s`, submission, signal);
    return this.#output(isFinished(job) ? job : await this.wait<Output>(job.id, signal));
  }

  /** submitMany makes many jobs in one request and resolves with one result each, in their order: some may be refused. */
  async submitMany(submissions: Iterable<Submission>, signal?: AbortSignal): Promise<SubmissionResult[]> {
    const lines = Array.from(submissions, (submission) => {
      known("a submission", submission, ["function", "input", "options"]);
      const { function: name, input = null, options = {} } = submission;
      return JSON.stringify({ function: name, input, options: toWire(options) });
    });
    if (lines.length === 0) return [];
    const response = await this.#request("POST", "/v1/jobs/batch", lines.join("\n"), "application/x-ndjson", signal);
    const answers = (await response.text()).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    if (answers.length !== lines.length) throw new MillraceError(0, "unreachable", `${answers.length} answers to ${lines.length} submissions: the connection was cut`);
    return answers.map(({ id, state, replayed = false, error }) =>
      error ? { error: MillraceError.fromProblem(error) } : { id, state, replayed });
  }

  /** wait resolves with the job once it is finished, however long that takes. */
  async wait<Output = unknown>(id: string, signal?: AbortSignal): Promise<Job<Output>> {
    for (;;) {
      const job = await this.#call<Job<Output>>("GET", `/v1/jobs/${encodeURIComponent(id)}?wait=${longestWait}s`, undefined, signal);
      if (isFinished(job)) return job;
    }
  }

  /** get reads a job as it stands. */
  get<Output = unknown>(id: string, signal?: AbortSignal): Promise<Job<Output>> {
    return this.#call("GET", `/v1/jobs/${encodeURIComponent(id)}`, undefined, signal);
  }

  /** cancel ends a job that is not finished. A running one ends within a second. */
  cancel<Output = unknown>(id: string, signal?: AbortSignal): Promise<Job<Output>> {
    return this.#call("POST", `/v1/jobs/${encodeURIComponent(id)}/cancel`, undefined, signal);
  }

  /** retry runs a failed, cancelled or waiting job now. */
  retry<Output = unknown>(id: string, signal?: AbortSignal): Promise<Job<Output>> {
    return this.#call("POST", `/v1/jobs/${encodeURIComponent(id)}/retry`, undefined, signal);
  }

  /** publish sends data to a channel; when it resolves, that is stored. */
  async publish(channel: string, data: unknown, idempotencyKey?: string, signal?: AbortSignal): Promise<Published> {
    const path = `/v1/channels/${encodeURIComponent(channel)}/messages`;
    const response = await this.#request("POST", path, JSON.stringify(data), "application/json", signal,
      idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey });
    return response.json();
  }

  /**
   * token makes a short-lived token for the browser of an end user: for connecting, and for reading the channels
   * of the named jobs, for example `subscribe: ["job:42"]`.
   */
  token(user: string, grants: { subscribe?: string[]; publish?: string[]; expiresIn?: string | number } = {}): Promise<{ token: string; expires_at: string }> {
    known("a token", grants, ["subscribe", "publish", "expiresIn"]);
    const { expiresIn, ...rest } = grants;
    return this.#call("POST", "/v1/tokens", { user, ...rest, ...(expiresIn === undefined ? {} : { expires_in: expiresIn }) });
  }

  #output<Output>(job: Job<Output>): Output {
    if (job.state !== "completed") throw new JobError(job);
    return job.output as Output;
  }

  async #call<T>(method: string, path: string, value?: unknown, signal?: AbortSignal): Promise<T> {
    const body = value === undefined ? undefined : JSON.stringify(value);
    const response = await this.#request(method, path, body, "application/json", signal);
    return response.json() as Promise<T>;
  }

  async #request(
    method: string, path: string, body: string | undefined, type: string, signal?: AbortSignal, more: Record<string, string> = {},
  ): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${await this.#key()}`, Accept: "application/json, application/x-ndjson", ...more };
    if (body !== undefined) headers["Content-Type"] = type;
    let response: Response;
    try {
      response = await this.#fetch(this.#url + path, { method, headers, body: body ?? null, signal: signal ?? null });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new MillraceError(0, "unreachable", unreachable(this.#url, error), "Is the address right, and the server running?",
        undefined, [], { cause: error });
    }
    if (!response.ok) throw await MillraceError.fromResponse(response);
    return response;
  }
}
