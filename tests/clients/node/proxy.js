// A way to the server that can be cut, frozen, or closed for some.

import net from "node:net";

export class Proxy {
  #connections = new Set();
  #server;
  /** What the beginning of a connection must not match, or it gets no answer. */
  swallows = /^$/;
  refuses = false;
  frozen = false;
  #whenAsked = [];

  static async to(port) {
    const proxy = new Proxy();
    proxy.#server = net.createServer((client) => proxy.#serve(client, port));
    await new Promise((listening) => proxy.#server.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  #serve(client, port) {
    if (this.refuses) return client.destroy();
    const upstream = net.connect(port, "127.0.0.1");
    const connection = { client, upstream, swallowed: false };
    this.#connections.add(connection);
    client.once("data", (head) => (connection.swallowed = this.swallows.test(head.toString("latin1"))));
    client.on("data", (data) => this.frozen || connection.swallowed || upstream.write(data));
    client.on("data", () => this.#whenAsked.splice(0).forEach((told) => told()));
    upstream.on("data", (data) => this.frozen || client.write(data));
    for (const [end, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      end.on("error", () => {});
      end.on("close", () => {
        if (!this.frozen) other.destroy();
        if (other.destroyed) this.#connections.delete(connection);
      });
    }
  }

  /** Waits until a client sends something. */
  asked() {
    return new Promise((told) => this.#whenAsked.push(told));
  }

  /** Both sides lose all connections, without a word. */
  cut() {
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream.destroy();
    }
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
