export { Client, type ClientConfig, type Published, type Submission, type SubmissionResult } from "./client.js";
export { JobError, MillraceError } from "./errors.js";
export { awaitJob, followJob, type AwaitOptions } from "./follow.js";
export { isFinished, type Failure, type Job, type JobMessage, type JobState, type LogLine, type Progress } from "./job.js";
export type { JobOptions } from "./options.js";
export type { Following, JobHandlers } from "./shared.js";
