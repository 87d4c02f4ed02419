/** The types of hubbub.js. Times are in milliseconds, sizes in bytes. */

/** What carries the messages. */
export type Transport = "websocket" | "eventsource" | "polling";

export interface Options {
  /** The ladder: what is tried, in this order, until one opens. `["websocket", "eventsource", "polling"]`. */
  transports?: readonly Transport[];
  /** Rooms to be in from the beginning; the server decides which of them. None. */
  rooms?: readonly string[];
  /** How long a transport may take to open, and a close to be answered. 5,000. */
  openTimeout?: number;
  /**
   * The n-th attempt after a loss waits a random time from 0 to `min(backoffCap, backoffBase * 2 ** (n - 1))`.
   * 1,000 and 30,000.
   */
  backoffBase?: number;
  backoffCap?: number;
  /** How many messages may wait to be sent. 1,000. */
  maxQueued?: number;
  /** How much may wait to be sent. 1 MiB. */
  maxQueuedBytes?: number;
  /** Send cookies to another origin, too, by event streams and polls; a WebSocket always does. No. */
  withCredentials?: boolean;
}

/** A connection is there. */
export interface OpenEvent extends Event {
  /** It is the session from before, and no message to the client has been missed. Otherwise it is a new one. */
  readonly recovered: boolean;
  readonly transport: Transport;
  /** The session's id. Whoever knows it can take the session over: a secret. */
  readonly sid: string;
}

/** A message has come. */
export interface DataEvent extends Event {
  /** A string for text, an ArrayBuffer for binary. */
  readonly data: string | ArrayBuffer;
}

/** A connection is gone, or there will be none. */
export interface CloseEvent extends Event {
  /** What the server has said, or what `close` was given; 1006 if it was lost, 1001 if the page was left. */
  readonly code: number;
  readonly reason: string;
  /** It is the end. Otherwise `reconnecting` follows. */
  readonly terminal: boolean;
}

/** No transport has opened, or a connection is gone: it waits for the next attempt. */
export interface ReconnectingEvent extends Event {
  /** 1, 2, ...; again from 1 once a connection has lasted for five seconds. */
  readonly attempt: number;
  /** How long it waits. The network's return, and somebody who looks at the page, end the wait. */
  readonly delay: number;
}

export interface SocketEventMap {
  open: OpenEvent;
  message: DataEvent;
  close: CloseEvent;
  reconnecting: ReconnectingEvent;
}

/**
 * A session with a server, over as many connections as it takes.
 *
 * Messages to the client come in order, once each: what a lost connection swallowed comes again over the next, if the
 * server still has it (`recovered`). Messages from the client are sent at most once: what was handed to a connection
 * that was then lost may or may not have arrived. What none has taken yet waits for the next.
 */
export class Socket extends EventTarget {
  constructor(url: string | URL, options?: Options);

  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;

  /** CONNECTING until the first connection and between two of them, then as a WebSocket's. */
  readonly readyState: 0 | 1 | 2 | 3;
  /** What carries the messages now; `null` without a connection. */
  readonly transport: Transport | null;
  /** The session's id; `null` before there is one. */
  readonly sid: string | null;
  /** Bytes that `send` has taken and no transport has sent. */
  readonly bufferedAmount: number;
  /** Messages that wait for a connection, or for the request before them. Once closed: those that were never sent. */
  readonly queued: number;

  onopen: ((this: this, event: OpenEvent) => void) | null;
  onmessage: ((this: this, event: DataEvent) => void) | null;
  onclose: ((this: this, event: CloseEvent) => void) | null;
  onreconnecting: ((this: this, event: ReconnectingEvent) => void) | null;

  /**
   * Sends a message as soon as there is a connection.
   *
   * @throws DOMException `QuotaExceededError`: too much waits already; `InvalidStateError`: it is closed.
   * @throws RangeError It is longer than the server takes.
   * @throws TypeError It is neither text nor bytes.
   */
  send(data: string | ArrayBuffer | ArrayBufferView): void;

  /**
   * Ends the session, once what waits has been sent if there is a connection. `close` is told of with these values.
   *
   * @param code 1000, the default, or 3000 to 4999.
   * @param reason At most 123 bytes of UTF-8.
   * @throws RangeError It is another code.
   */
  close(code?: number, reason?: string): void;

  addEventListener<K extends keyof SocketEventMap>(
    type: K,
    listener: (this: this, event: SocketEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof SocketEventMap>(
    type: K,
    listener: (this: this, event: SocketEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/**
 * Connects to a comet endpoint.
 *
 * @param url Relative to the page, or absolute (http, https, ws, wss). Its query is kept: `"/push?token=..."`.
 * @throws TypeError The URL cannot be read, or a transport is unknown.
 */
export function connect(url: string | URL, options?: Options): Socket;
