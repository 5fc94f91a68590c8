import type { Job } from "./job.js";

/** A problem document as it comes. */
export interface Problem {
  status: number;
  code: string;
  title: string;
  detail?: string;
  hint?: string;
  request_id?: string;
  errors?: { field: string; message: string }[];
}

/** A refusal by the server: a problem document of RFC 9457. */
export class MillraceError extends Error {
  override readonly name: string = "MillraceError";

  constructor(
    /** of HTTP; 0 where the server could not be reached */
    readonly status: number,
    /** stable, for programs: not_found, unauthenticated, … */
    readonly code: string,
    message: string,
    readonly hint?: string,
    readonly requestId?: string,
    readonly errors: { field: string; message: string }[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** fromResponse reads the problem of an answer that is none of 2xx. */
  static async fromResponse(response: Response): Promise<MillraceError> {
    const text = await response.text();
    try {
      return MillraceError.fromProblem(JSON.parse(text));
    } catch {
      // A proxy in between answers in its own words.
      return new MillraceError(response.status, "http", `${response.status} ${response.statusText}: ${text.slice(0, 200)}`);
    }
  }

  /** fromProblem makes an error of a problem document. */
  static fromProblem({ status, code, title, detail, hint, request_id, errors }: Problem): MillraceError {
    if (typeof status !== "number" || typeof code !== "string") throw new TypeError("not a problem document of millrace");
    return new MillraceError(status, code, detail ?? title, hint, request_id, errors);
  }
}

/** The job that was awaited ended without an output. */
export class JobError extends Error {
  override readonly name: string = "JobError";

  constructor(readonly job: Job) {
    super(
      job.state === "cancelled"
        ? `job ${job.id} of ${job.function} was cancelled`
        : `job ${job.id} of ${job.function} failed: ${job.error?.message ?? "no reason was recorded"}`,
    );
  }

  /** code is that of the failure: exception, timeout, …; "cancelled" for cancelled jobs. */
  get code(): string {
    return this.job.state === "cancelled" ? "cancelled" : (this.job.error?.code ?? "unknown");
  }
}
