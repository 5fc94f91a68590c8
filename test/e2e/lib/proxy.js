// A network between client and server that can be cut.
import { connect, createServer } from "node:net";
import { once } from "node:events";

/** Proxy passes TCP connections on. */
export class Proxy {
  #sockets = new Set();
  #down = false;

  /** start makes a proxy to the host of a URL; it ends with the test. */
  static async start(t, url) {
    const target = new URL(url);
    const proxy = new Proxy();
    proxy.server = createServer((near) => proxy.#pass(near, target));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.address = Object.assign(new URL(url), { host: `127.0.0.1:${proxy.server.address().port}` }).href;
    t.after(() => {
      proxy.cut();
      proxy.server.close();
    });
    return proxy;
  }

  #pass(near, target) {
    if (this.#down) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on("error", () => {}); // what cut and the server's end do to a connection
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  /** cut closes every connection, without a goodbye, and refuses new ones. */
  cut() {
    this.#down = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** mend lets connections pass again. */
  mend() {
    this.#down = false;
  }
}
