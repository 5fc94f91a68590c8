/** Tests a consumer through a plain WebSocket: Node 22, Deno, Bun and browsers have one. */

/** What can be changed about a connection. */
export interface ConnectOptions {
  /** A user's token, sent as ?token=. */
  token?: string;
  /** How long to wait for what must happen, in milliseconds; 30,000 if it is not said. */
  patience?: number;
}

type Frame = string | Uint8Array;

/** Opens a WebSocket, such as ws://127.0.0.1:8080/ws/chat/lobby. It is rejected if the server refuses. */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Communicator> {
  const address = new URL(url);
  if (options.token !== undefined) address.searchParams.set("token", options.token);
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const communicator = new Communicator(socket, options.patience ?? 30_000);
  await communicator.opened();
  return communicator;
}

/** The client's end of a WebSocket. Every wait ends, with an error that says what was waited for. */
export class Communicator {
  readonly #socket: WebSocket;
  readonly #patience: number;
  readonly #frames: Frame[] = [];
  #end: { code: number; reason: string } | undefined;
  #open = false;
  #changed = () => {};

  constructor(socket: WebSocket, patience: number) {
    this.#socket = socket;
    this.#patience = patience;
    socket.addEventListener("open", () => {
      this.#open = true;
      this.#changed();
    });
    socket.addEventListener("message", ({ data }) => {
      this.#frames.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
      this.#changed();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#end = { code, reason };
      this.#changed();
    });
  }

  /** Waits until the connection is open. */
  async opened(): Promise<void> {
    await this.#until(() => this.#open || this.#end !== undefined, "the connection was not opened");
    if (!this.#open) throw new Error("the server refused the connection");
  }

  /** Sends a string as text and bytes as a binary frame. */
  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  /** Sends a value as JSON. */
  sendJSON(value: unknown): void {
    this.#socket.send(JSON.stringify(value));
  }

  /** The next frame: a string, or bytes. */
  async receive(): Promise<Frame> {
    await this.#until(() => this.#frames.length > 0 || this.#end !== undefined, "nothing came");
    const frame = this.#frames.shift();
    if (frame === undefined) throw new Error(`the server closed the connection with ${this.#end?.code} ${this.#end?.reason}`);
    return frame;
  }

  /** The next frame, which must be text, decoded. */
  async receiveJSON(): Promise<unknown> {
    const frame = await this.receive();
    if (typeof frame !== "string") throw new Error(`${frame.length} bytes came, and JSON was expected`);
    return JSON.parse(frame);
  }

  /** Is rejected if a frame comes, or the connection ends, within so many milliseconds. */
  async receiveNothing(within: number): Promise<void> {
    await this.#wait(() => this.#frames.length > 0 || this.#end !== undefined, within);
    if (this.#frames.length > 0) throw new Error(`nothing was expected, and this came: ${String(this.#frames[0])}`);
    if (this.#end !== undefined) throw new Error(`the server closed the connection with ${this.#end.code} ${this.#end.reason}`);
  }

  /** Waits until the connection has ended, and returns how: 1006 when the server vanished. */
  async closed(): Promise<{ code: number; reason: string }> {
    await this.#until(() => this.#end !== undefined, "the server did not close the connection");
    return this.#end ?? { code: 1006, reason: "" };
  }

  /** Closes the connection and waits for its end. */
  async disconnect(code = 1000, reason = ""): Promise<void> {
    this.#socket.close(code, reason);
    await this.closed();
  }

  async #until(happened: () => boolean, otherwise: string): Promise<void> {
    if (!(await this.#wait(happened, this.#patience))) throw new Error(`${otherwise} for ${this.#patience} ms`);
  }

  /** Whether something happened within so many milliseconds. */
  async #wait(happened: () => boolean, within: number): Promise<boolean> {
    const end = Date.now() + within;
    while (!happened()) {
      const left = end - Date.now();
      if (left <= 0) return false;
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, left);
        this.#changed = () => {
          clearTimeout(timer);
          wake();
        };
      });
    }
    return true;
  }
}
