import type { Centrifuge } from "centrifuge";

import { JobError } from "./errors.js";
import { share, type Following, type JobHandlers } from "./shared.js";

/**
 * followJob tells of a job through the application's own connection, which several followers share. It begins with
 * the job as it stands, so that no final state is lost over disconnects, and ends with the job. Handlers are called
 * after followJob has returned.
 */
export function followJob<Output = unknown>(connection: Centrifuge, id: string, handlers: JobHandlers<Output>): Following {
  return share(connection, id).add(handlers as JobHandlers);
}

export interface AwaitOptions<Output> {
  /** ends the wait, not the job */
  signal?: AbortSignal;
  /** gets the outputs that are too large for a channel: over 32 KiB */
  fetchOutput?: (id: string) => Promise<Output>;
}

/**
 * awaitJob resolves with the output of a job, as seen through its channel. It throws JobError when the job failed or
 * was cancelled, and the signal's reason when that aborts first.
 */
export function awaitJob<Output = unknown>(connection: Centrifuge, id: string, { signal, fetchOutput }: AwaitOptions<Output> = {}): Promise<Output> {
  return new Promise<Output>((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const following = followJob<Output>(connection, id, {
      end: (job) => {
        signal?.removeEventListener("abort", abort);
        if (job.state !== "completed") reject(new JobError(job));
        else if (!job.omitted?.includes("output")) resolve(job.output as Output);
        else if (fetchOutput) resolve(fetchOutput(id));
        else reject(new Error(`the output of job ${id} is too large for its channel: give fetchOutput`));
      },
      error: (error) => {
        signal?.removeEventListener("abort", abort);
        reject(error);
      },
    });
    function abort() {
      following.stop();
      reject(signal!.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}
