// The connection to the server: Socket.IO's, the name that we have on it, and what is still to be said over it.

/**
 * @typedef {{ id: number, at: number, kind: "all" | "rooms" | "private", from: string, text: string,
 *             to?: string, rooms?: string[] }} Message
 * @typedef {{ text: string, rooms: string[], sent: boolean }} Waiting what was typed and is not acknowledged yet
 * @typedef {"connecting" | "unreachable" | "nameless" | "open" | "lost" | "moved" | "gone"} State
 */

const ANSWER_TIME = 20_000;
const MOST_WAITING = 50;
const EVENTS = ["joined", "left", "renamed", "message", "room", "entered", "departed", "typing", "notice"];

export class Connection {
  /** @type {State} */
  state = "connecting";
  /** Our name, once the server has agreed to it. */
  name = null;
  /** @type {Waiting[]} */
  waiting = [];

  #socket;
  #key;
  #hears;
  #wanted = null; // the name to enter with, after each connection that could not be recovered
  #seen = 0; // the id of the last message that has come
  #sending = false;
  #heard = []; // what we have said, as it came back from the server since the last message was sent

  /**
   * @param {string} key this browser's secret: private messages can be read again with it only
   * @param {boolean} pollingOnly
   * @param {object} hears who is told: `changed(state, news)`, `welcomed(answer, again)`, which is awaited, `refused(answer)` of a name,
   *   `unsaid(waiting, answer)` of a message, `queued()`, and a function for each event of the server
   */
  constructor(key, pollingOnly, hears) {
    this.#key = key;
    this.#hears = hears;
    this.#socket = io({
      transports: pollingOnly ? ["polling"] : ["polling", "websocket"],
      reconnectionDelay: 400,
      reconnectionDelayMax: 4000,
      autoConnect: false,
    });
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.on("connect_error", () => this.state === "connecting" && this.#change("unreachable"));
    // The server appends an offset to each event, for recovery; the client keeps it, and nobody else needs it.
    for (const event of EVENTS) this.#socket.on(event, (told) => this.#told(event, told));
    this.connect();
  }

  /** Whether a name was given that the server has not taken or refused yet. */
  get entering() {
    return this.#wanted !== null && this.name === null;
  }

  connect() {
    if (this.#socket.connected) return;
    if (this.state === "moved" || this.state === "gone") this.#change("connecting");
    this.#socket.disconnect().connect(); // at once, also when an attempt was to be made later
  }

  /** There is a network again: tries at once, if it is waiting to try. */
  retry() {
    if (this.state === "lost" || this.state === "unreachable") this.connect();
  }

  /** Asks for a name, now or as soon as there is a connection; `welcomed` or `refused` is the answer. */
  async enter(name, takeover = false) {
    if (this.entering && this.#socket.connected) return; // it was asked already
    this.#wanted = name;
    if (this.#socket.connected) await this.#enter(takeover);
  }

  /** Leaves in earnest: the name is free at once. Nothing is reconnected until `connect`. */
  leave() {
    const { engine } = this.#socket.io;
    const polling = engine?.transport?.name === "polling" && engine.id;
    this.#socket.disconnect();
    // The request that carries this may die with the page; a beacon does not.
    if (polling) {
      const query = new URLSearchParams({ EIO: "4", transport: "polling", sid: engine.id });
      navigator.sendBeacon(`${this.#socket.io.opts.path}/?${query}`, "41\x1e1");
    }
  }

  /** Another name for us, who are here; gives the server's answer. */
  async rename(name) {
    const answer = await this.ask("rename", this.#asked(name));
    if (!answer.error) this.called(answer.name);
    return answer;
  }

  /** The server knows us by this name now. */
  called(name) {
    this.#wanted = this.name = name;
  }

  // A secret for each name: two tabs with two names do not read each other's private messages.
  #asked(wanted) {
    const name = wanted.normalize("NFC").trim().replace(/\s+/g, " ");
    return { name, key: `${this.#key} ${name}` };
  }

  /** The server's answer to an event; `{ error: "silent" }` if there is none. */
  async ask(event, ...values) {
    if (!this.#socket.connected) return { error: "silent" };
    try {
      return await this.#socket.timeout(ANSWER_TIME).emitWithAck(event, ...values);
    } catch {
      return { error: "silent" };
    }
  }

  /** Says something as soon as that is possible, once. False if too much is waiting for that already. */
  say(text, rooms) {
    if (this.waiting.length >= MOST_WAITING) return false;
    this.waiting.push({ text: text.normalize("NFC"), rooms, sent: false });
    this.#hears.queued();
    this.#send();
    return true;
  }

  typing(where) {
    if (this.state === "open") this.#socket.volatile.emit("typing", where, () => {});
  }

  // One after the other, in order. What a lost connection took with it has perhaps arrived, and only its acknowledgement
  // has not: then it is among what has come since.
  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.waiting.length > 0 && this.state === "open") {
      const [next] = this.waiting;
      const answer = next.sent ? await this.#again(next) : await this.#first(next);
      if (answer.error === "silent" || this.waiting[0] !== next) continue;
      this.waiting.shift();
      this.#hears.queued();
      if (answer.error) this.#hears.unsaid(next, answer);
    }
    this.#sending = false;
  }

  #first(message) {
    message.sent = true;
    this.#heard = [];
    return this.ask("say", { text: message.text, rooms: message.rooms });
  }

  async #again(message) {
    // Whatever was missed comes before the answer to a question.
    const answer = await this.ask("who", "");
    if (answer.error || this.#heard.some((text) => message.text.endsWith(text))) return answer;
    return this.#first(message);
  }

  #connected() {
    if (this.#socket.recovered && this.name !== null) this.#open("recovered");
    else if (this.#wanted !== null) this.#enter(this.name !== null);
    else this.#change("nameless");
  }

  async #enter(takeover) {
    const again = this.name !== null;
    const asked = { ...this.#asked(this.#wanted), takeover, ...(again && { since: this.#seen }) };
    const answer = await this.ask("enter", asked);
    if (answer.error === "silent" && !this.#socket.connected) return; // asked again when it is
    if (answer.error === "silent" || answer.error === "entered") {
      this.#socket.disconnect().connect();
    } else if (answer.error) {
      this.#wanted = this.name = null;
      this.#change("nameless");
      this.#hears.refused(answer);
    } else {
      this.#wanted = this.name = answer.name;
      answer.messages.forEach((message) => this.#note(message));
      const { id } = this.#socket;
      await this.#hears.welcomed(answer, again);
      if (this.#socket.id === id) this.#open(again ? "again" : "first", answer);
    }
  }

  #open(how, answer) {
    this.#change("open", { how, answer });
    this.#send();
  }

  #disconnected(reason) {
    if (this.state === "moved") return;
    if (reason === "io client disconnect") return this.#change("gone");
    this.#change("lost");
    if (reason === "io server disconnect") this.#socket.connect(); // the client does not, of its own accord
  }

  #told(event, told) {
    if (event === "message") this.#note(told);
    if (event === "notice" && told.code === "replaced") this.#change("moved");
    this.#hears[event](told);
  }

  #note({ id, from, text }) {
    this.#seen = Math.max(this.#seen, id);
    if (from === this.name && this.waiting.length > 0) this.#heard.push(text);
  }

  #change(state, news = {}) {
    this.state = state;
    this.#hears.changed(state, news);
  }
}

/** So many random letters and digits. Works on pages without TLS too, where crypto.randomUUID does not. */
export function secret(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
