import type { Centrifuge, PublicationContext, Subscription, UnsubscribedContext } from "centrifuge";

import { isFinished, type Job, type JobMessage, type LogLine, type Progress } from "./job.js";

/** What a follower is told. Every handler is optional. */
export interface JobHandlers<Output = unknown> {
  /** each new state, the present one first */
  state?: (job: Job<Output>) => void;
  progress?: (progress: Progress) => void;
  log?: (line: LogLine) => void;
  /** once, after the handler of the final state: nothing follows */
  end?: (job: Job<Output>) => void;
  /** once, instead of end: the job does not exist, or may not be read with this connection */
  error?: (error: Error) => void;
}

/** A job that is being followed. */
export interface Following {
  /** stop ends it: no handler is called any more. */
  stop(): void;
}

const decoder = new TextDecoder();
const shared = new WeakMap<Centrifuge, Map<string, SharedJob>>();

/** share returns the one subscription of a connection to a job's channel; it begins with the first follower. */
export function share(connection: Centrifuge, id: string): SharedJob {
  let jobs = shared.get(connection);
  if (!jobs) shared.set(connection, jobs = new Map());
  let job = jobs.get(id);
  if (!job) jobs.set(id, job = new SharedJob(connection, id, () => jobs.delete(id)));
  return job;
}

/** SharedJob is a subscription to `job:<id>` and those who follow it. It ends with the last of them, or with the job. */
class SharedJob {
  readonly #connection: Centrifuge;
  readonly #subscription: Subscription;
  readonly #forget: () => void;
  readonly #followers = new Set<JobHandlers>();
  #latest: Job | undefined;

  constructor(connection: Centrifuge, id: string, forget: () => void) {
    this.#connection = connection;
    this.#forget = forget;
    this.#subscription = connection.newSubscription(`job:${id}`); // throws if the application has one of its own
    this.#subscription.on("publication", ({ data }: PublicationContext) => this.#receive(decode(data)));
    this.#subscription.on("unsubscribed", (context: UnsubscribedContext) => this.#refused(context));
    this.#subscription.subscribe();
  }

  add(handlers: JobHandlers): Following {
    const follower = { ...handlers }; // of its own: one object may follow twice
    this.#followers.add(follower);
    if (this.#latest) {
      const late = this.#latest;
      queueMicrotask(() => { if (this.#followers.has(follower)) follower.state?.(late); });
    }
    return {
      stop: () => {
        if (this.#followers.delete(follower) && this.#followers.size === 0) this.#close();
      },
    };
  }

  #receive(message: JobMessage): void {
    switch (message.type) {
      case "progress":
        return this.#tell((follower) => follower.progress?.(message.progress));
      case "log":
        return this.#tell((follower) => follower.log?.(message.line));
      default:
        this.#latest = message.job;
        this.#tell((follower) => follower.state?.(message.job));
        if (isFinished(message.job)) this.#end((follower) => follower.end?.(message.job));
    }
  }

  #refused({ code, reason }: UnsubscribedContext): void {
    const error = new Error(`${this.#subscription.channel}: ${reason} (${code})`);
    this.#end((follower) => follower.error?.(error));
  }

  /** tell calls everybody who has not stopped meanwhile; one who throws keeps it from nobody. */
  #tell(call: (follower: JobHandlers) => void): void {
    for (const follower of [...this.#followers]) {
      if (!this.#followers.has(follower)) continue;
      try {
        call(follower);
      } catch (error) {
        queueMicrotask(() => { throw error; });
      }
    }
  }

  /** end tells everybody for the last time. What follows the job from now on begins anew. */
  #end(call: (follower: JobHandlers) => void): void {
    this.#close();
    this.#tell(call);
    this.#followers.clear();
  }

  #close(): void {
    this.#forget();
    this.#subscription.removeAllListeners();
    this.#subscription.unsubscribe();
    this.#connection.removeSubscription(this.#subscription);
  }
}

/** decode reads a message, which the Protobuf form of the connection delivers as bytes. */
function decode(data: unknown): JobMessage {
  return (data instanceof Uint8Array ? JSON.parse(decoder.decode(data)) : data) as JobMessage;
}
