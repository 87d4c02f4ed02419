/**
 * A session with a hubbub server, whatever carries it:
 *
 *     import { connect } from "/hubbub.js";
 *     const socket = connect("/push", { rooms: ["news"] });
 *     socket.onmessage = ({ data }) => console.log(data);
 *
 * What each name means: hubbub.d.ts.
 */

const DEFAULTS = {
  transports: ["websocket", "eventsource", "polling"],
  rooms: [],
  openTimeout: 5_000,
  backoffBase: 1_000,
  backoffCap: 30_000,
  maxQueued: 1_000,
  maxQueuedBytes: 1 << 20,
  withCredentials: false,
};

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** The end was meant, or would come again. */
const isTerminal = (code) => [1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(code) || code >= 3000;

/** After a connection that lasted so long, the next wait is a short one again. */
const STABLE = 5_000;

/** Between packets of a body, and how many there may be. */
const SEPARATOR = "\x1e";
const MAX_PACKETS = 4_096;

/** So long a session may wait for its next connection. */
const LINGER = 30_000;

const utf8 = new TextEncoder();
const sizeOf = (text) => utf8.encode(text).length;

export const connect = (url, options) => new Socket(url, options);

export class Socket extends EventTarget {
  readyState = CONNECTING;
  transport = null;
  sid = null;
  onopen = null;
  onmessage = null;
  onclose = null;
  onreconnecting = null;

  #url;
  #options;
  /** What no transport has taken: `{ data, size }`. */
  #queue = [];
  #queuedBytes = 0;
  /** How many messages of this session have come. */
  #cursor = 0;
  /** What the server said when the session opened. */
  #info = {};
  /** None while it waits. */
  #link;
  /** The number of the best transport that has worked. */
  #best = Infinity;
  #failures = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** For opening, silence, the next attempt or closing. */
  #timer;
  #ending;
  #over = new AbortController();

  constructor(url, options) {
    super();
    this.#options = { ...DEFAULTS, ...options };
    for (const name of this.#options.transports) {
      if (!Object.hasOwn(transports, name)) throw new TypeError(`unknown transport: ${name}`);
    }
    for (const type of ["open", "message", "close", "reconnecting"]) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    const { document, location } = globalThis;
    this.#url = new URL(url, document?.baseURI ?? location?.href);
    this.#url.protocol = this.#url.protocol.replace("ws", "http");

    const listen = (target, type, listener) => target?.addEventListener?.(type, listener, this.#over);
    listen(globalThis, "online", () => {
      this.#best = Infinity; // this network may carry what the last one did not
      this.#hurry();
    });
    listen(globalThis, "offline", () => this.#link?.end({ reason: "offline" }));
    listen(document, "visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
    listen(globalThis, "pagehide", (event) => this.#leave(event));
    listen(globalThis, "pageshow", ({ persisted }) => persisted && this.#attempt());
    queueMicrotask(() => this.#attempt());
  }

  get bufferedAmount() {
    return this.#queuedBytes + (this.#link?.bufferedAmount?.() ?? 0);
  }

  get queued() {
    return this.#queue.length;
  }

  send(data) {
    if (this.readyState > OPEN) throw new DOMException("the socket is closed", "InvalidStateError");
    if (typeof data !== "string") data = copied(data);
    const size = data.byteLength ?? sizeOf(data);
    const { maxQueued, maxQueuedBytes } = this.#options;
    if (size > this.#info.maxPayload) throw new RangeError("the message is too long");
    if (this.queued >= maxQueued || this.bufferedAmount + size > maxQueuedBytes) {
      throw new DOMException("too much waits to be sent", "QuotaExceededError");
    }
    this.#queue.push({ data, size });
    this.#queuedBytes += size;
    if (this.readyState === OPEN) this.#link.pull();
  }

  close(code = 1000, reason = "") {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) throw new RangeError(`1000 or 3000 to 4999, not ${code}`);
    if (sizeOf(reason) > 123) throw new RangeError("the reason is too long");
    if (this.readyState > OPEN) return;
    const wasOpen = this.readyState === OPEN;
    this.readyState = CLOSING;
    this.#ending = { code, reason };
    if (wasOpen) this.#link.close(code, reason);
    else this.#drop();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ended(), wasOpen ? this.#options.openTimeout : 0);
  }

  // ---- trying

  /** Tries each transport, first the best that has worked. */
  #attempt() {
    if (this.readyState !== CONNECTING) return;
    const names = this.#options.transports;
    this.#climb([...names.slice(this.#best), ...names.slice(0, this.#best)]);
  }

  #climb([transport, ...others]) {
    this.#drop();
    if (!transport) return this.#wait();
    const { openTimeout, rooms, withCredentials } = this.#options;
    const aborter = new AbortController();
    const { signal } = aborter;
    const mine = (does) => (...args) => signal.aborted || does(...args);
    const link = (this.#link = {
      aborter,
      signal,
      over: this.#over.signal,
      withCredentials,
      /** Where it opens, and where it goes on. */
      opening: () => this.#address({ transport, resume: 1 }, rooms),
      going: () => this.#address({ transport }, []),
      next: () => this.#next(),
      body: () => this.#body(),
      packet: mine((packet) => this.#packet(transport, packet)),
      /** Takes whatever says why: an event, an error, a packet. */
      end: mine(({ code = 1006, reason = "" }) => {
        if (code !== 1006) this.sid = null; // the session has ended, not only the connection
        if (this.readyState === CONNECTING && !isTerminal(code)) this.#climb(others);
        else this.#ended(code, reason);
      }),
    });
    this.#timer = setTimeout(link.end, openTimeout, {});
    try {
      Object.assign(link, transports[transport](link));
    } catch {
      link.end({}); // it is not known here, or not allowed
    }
  }

  #wait() {
    const { backoffBase, backoffCap } = this.#options;
    const delay = Math.random() * Math.min(backoffCap, backoffBase * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#attempt(), delay);
    this.#tell("reconnecting", { attempt: this.#failures, delay });
  }

  #hurry() {
    if (this.readyState === OPEN) this.#watch();
    else if (!this.#link) this.#attempt();
  }

  #address(parameters, rooms) {
    const url = new URL(this.#url);
    const session = this.sid && { sid: this.sid, cursor: this.#cursor };
    for (const [name, value] of Object.entries({ ...parameters, ...session })) url.searchParams.set(name, value);
    for (const room of rooms) url.searchParams.append("room", room);
    return url.href;
  }

  // ---- what comes

  #packet(transport, packet) {
    this.#heardAt = Date.now();
    // A poll of a session that is still there brings only what is new.
    if (this.readyState === CONNECTING && packet > "2") this.#opened(transport, { ...this.#info, recovered: true });
    if (typeof packet !== "string") return this.#message(packet);
    const content = packet.slice(1);
    switch (packet[0]) {
      case "0":
        return this.#opened(transport, JSON.parse(content));
      case "1":
        return this.#link.end(JSON.parse(content));
      case "2":
        return this.#link.pong?.();
      case "4":
        return this.#message(content);
      case "b":
        return this.#message(decoded(content).buffer);
      case "t": // a text that this transport cannot carry as it is
        return this.#message(new TextDecoder("utf-8", { ignoreBOM: true }).decode(decoded(content)));
    }
  }

  #opened(transport, info) {
    this.#best = Math.min(this.#best, this.#options.transports.indexOf(transport));
    const { sid, recovered } = (this.#info = info);
    if (!recovered) this.#cursor = 0;
    this.#openedAt = Date.now();
    Object.assign(this, { readyState: OPEN, transport, sid });
    this.#watch();
    this.#link.pull();
    this.#tell("open", { recovered, transport, sid });
  }

  #message(data) {
    this.#cursor += 1;
    this.#tell("message", { data });
  }

  /** By the clock, which goes on while a machine sleeps. */
  #watch() {
    const { pingInterval, pingTimeout } = this.#info;
    clearTimeout(this.#timer);
    if (!pingInterval) return; // the server gives no sign of life
    const left = this.#heardAt + pingInterval + (pingTimeout || pingInterval) - Date.now();
    if (left > 0) this.#timer = setTimeout(() => this.#watch(), left);
    else this.#link.end({ reason: "nothing was heard" });
  }

  #next() {
    const { data, size } = this.#queue.shift() ?? { size: 0 };
    this.#queuedBytes -= size;
    return data;
  }

  /** What the server takes in one body. Base64 is longer by a third. */
  #body() {
    const packets = [];
    for (let size = 0; this.queued && packets.length < MAX_PACKETS; ) {
      size += this.#queue[0].size * 1.4 + 5;
      if (packets.length && size > this.#info.maxPayload) break;
      packets.push(encoded(this.#next()));
    }
    return packets.join(SEPARATOR);
  }

  // ---- ends

  #ended(code, reason) {
    const terminal = this.readyState === CLOSING || isTerminal(code);
    this.#drop();
    this.readyState = terminal ? CLOSED : CONNECTING;
    if (Date.now() - this.#openedAt > STABLE) this.#failures = 0;
    if (terminal) this.#over.abort();
    this.#tell("close", { code, reason, terminal, ...this.#ending });
    if (this.readyState === CONNECTING && !this.#link) this.#wait();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#link?.aborter.abort();
    this.#link = undefined;
    this.transport = null;
  }

  /** The page goes, and its session with it. Should it come back (bfcache), it gets a new one. */
  #leave({ persisted }) {
    this.#link?.leave?.(persisted);
    if (this.readyState === CLOSING) return this.#ended();
    const wasOpen = this.readyState === OPEN;
    this.#drop();
    this.sid = null;
    this.readyState = CONNECTING;
    if (wasOpen) this.#tell("close", { code: 1001, reason: "the page was left", terminal: false });
  }

  #tell(type, fields) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
}

Object.assign(Socket, { CONNECTING, OPEN, CLOSING, CLOSED });

/** Each gives `link` packets and an end, and returns how to send and how to go. */
const transports = {
  websocket(link) {
    const socket = new WebSocket(link.opening().replace("http", "ws"));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => link.packet(data);
    socket.onclose = socket.onerror = link.end; // Node knows but one
    // A Close frame ends the session. The server drops this connection once the session has another.
    link.signal.onabort = () => {
      const close = () => socket.close();
      if (socket.readyState !== OPEN) return setTimeout(close);
      setTimeout(close, LINGER).unref?.();
      link.over.addEventListener("abort", close);
      socket.onclose = () => link.over.removeEventListener("abort", close);
    };
    return {
      bufferedAmount: () => socket.bufferedAmount,
      pull() {
        let data;
        while (socket.readyState === OPEN && (data = link.next()) !== undefined) {
          socket.send(typeof data === "string" ? `4${data}` : data);
        }
      },
      pong: () => socket.send("3"),
      close: (code, reason) => socket.close(code, reason),
      leave: (persisted) => persisted && socket.close(1000), // else the browser does, with 1001
    };
  },

  eventsource(link) {
    const source = new EventSource(link.opening(), link);
    const packets = { session: "0", close: "1", ping: "2", message: "4", binary: "b", text: "t" };
    for (const [type, kind] of Object.entries(packets)) {
      source.addEventListener(type, ({ data }) => link.packet(kind + data));
    }
    source.onerror = link.end; // by itself it would come back with the cursor that it began with
    link.signal.onabort = () => source.close();
    return posting(link);
  },

  polling(link) {
    const poll = async (url) => {
      while (!link.signal.aborted) {
        const body = await ask(link, url);
        body.split(SEPARATOR).forEach(link.packet);
        url = link.going();
      }
    };
    poll(`${link.opening()}&wait=0`).catch(link.end);
    return posting(link);
  },
};

/** To send by POST: one at a time, all that waits and fits. */
function posting(link) {
  const post = (body, init) => ask(link, link.going(), { method: "POST", body, ...init });
  let busy = false;
  let ending;
  const run = async () => {
    for (let body; (body = link.body() || ending); ) {
      await post(body);
      if (body === ending) return link.end({});
    }
    busy = false;
  };
  const pull = () => {
    if (busy) return;
    busy = true;
    // The other half is told of the session's end.
    run().catch((error) => error.status === 404 || link.end(error));
  };
  return {
    pull,
    close(code, reason) {
      ending = `1${code} ${reason}`;
      pull();
    },
    leave: () => post("11001", { keepalive: true, signal: null }).catch(() => {}),
  };
}

async function ask({ signal, withCredentials }, url, init) {
  const credentials = withCredentials ? "include" : "same-origin";
  const answer = await fetch(url, { cache: "no-store", credentials, signal, ...init });
  const body = await answer.text();
  if (answer.ok) return body;
  const { status } = answer;
  // Who may not come need not come again.
  throw { status, code: { 401: 1008, 403: 1008, 413: 1009 }[status], reason: `HTTP ${status}` };
}

const decoded = (base64) => Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));

/** A message as a packet of a body. */
function encoded(data) {
  const isText = typeof data === "string";
  if (isText && !data.includes(SEPARATOR)) return `4${data}`;
  const bytes = isText ? utf8.encode(data) : new Uint8Array(data);
  return (isText ? "t" : "b") + btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Whoever sends may use the buffer again. */
function copied(data) {
  if (data instanceof ArrayBuffer) return data.slice();
  if (!ArrayBuffer.isView(data)) throw new TypeError("neither text nor bytes");
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
}
