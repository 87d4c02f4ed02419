// The messages: kept in the order of their ids, and drawn for one view at a time. A view is a room, or null: everything.
// Each view knows from which message on it is complete (its floor); what is older is asked for when somebody scrolls up.

import { $, coloured, element, face, linked, roomTag } from "./dom.js";
import { clock, day, listed, roomName, say } from "./texts.js";

/** @typedef {import("./connection.js").Message} Message */
/** @typedef {{ kind: "joined" | "left_" | "entered" | "departed", names: string[], room?: string }} News */
/** @typedef {{ order: number, at: number, message?: Message, news?: News }} Line */

const KEPT_LINES = 500;
const MOST_LINES = 10_000; // while somebody reads what is old
const TOGETHER = 3 * 60_000; // milliseconds: one after the other, by the same person to the same people, is shown as one
const CLOSE = 60; // pixels from the end that still are the end

export class Log {
  /** Our name. */
  me = "";
  /** @type {string | null} */
  view = null;

  /** @type {Line[]} */
  #lines = [];
  #known = new Set(); // ids
  #unread = new Set(); // ids
  #views = new Map(); // view: { floor, before, more, loading }; what is older than `before` is to be asked for
  #since = 0; // id of the last message that was there before we were away
  #first = 0; // id of the first message that was unread when this view was turned to
  #last = null; // the line drawn last
  #following = true;
  #top = 0;
  #size = "";
  #quiet = 0;
  #asks;

  /**
   * @param {object} asks `older(before, room)` gives an answer of the server; `write(name)`: a name was clicked;
   *   `changed()`: what is unread has changed
   */
  constructor(asks) {
    this.#asks = asks;
    $("log").addEventListener("scroll", () => this.#scrolled());
    $("older").addEventListener("click", () => this.#older());
    $("latest").addEventListener("click", () => this.toEnd());
    $("lines").addEventListener("click", ({ target }) => {
      const name = target.closest("[data-name]")?.dataset.name;
      if (name) asks.write(name);
    });
    document.addEventListener("visibilitychange", () => this.#look());
    const resized = new ResizeObserver(() => this.#following && this.toEnd());
    for (const part of [$("log"), $("lines")]) resized.observe(part);
  }

  /** Begins with what the server has given on entering; all views are complete from there on. */
  start(answer, rooms) {
    const { messages } = answer;
    this.#lines = messages.map(asLine);
    this.#known = new Set(messages.map(({ id }) => id));
    this.#unread.clear();
    this.#views = new Map([null, ...rooms].map((view) => [view, reach(answer)]));
    this.turn(rooms.includes(this.view) ? this.view : null);
  }

  /** Adds what was said while we were away; gives how many messages of others that is. */
  catchUp(answer) {
    const { messages, more } = answer;
    this.#since = this.#lines.findLast(({ message }) => message)?.message.id ?? 0;
    if (more && messages.length > 0) {
      // There is a gap before them. What was before the gap comes again when somebody scrolls up.
      const rooms = [...this.#views.keys()].filter((view) => view !== null);
      this.start(answer, rooms);
      return messages.length;
    }
    const news = messages.filter((message) => this.#keep(message) && message.from !== this.me);
    for (const { id } of news) this.#unread.add(id);
    this.#mark();
    this.#draw();
    this.#look();
    return news.length;
  }

  /** A room that was entered, with the last that was said in it. */
  openRoom(room, answer) {
    this.#views.set(room, reach(answer));
    for (const message of answer.messages) this.#keep(message);
    this.#mark();
    this.#draw();
    this.#look();
  }

  /**
   * The same after `catchUp`, for a room that the server had forgotten. Gives how many messages of others were said in it
   * while we were away, and whether there are `more` before them.
   */
  openRoomAgain(room, answer) {
    const news = answer.messages.filter(({ id, from }) => id > this.#since && !this.#known.has(id) && from !== this.me);
    for (const { id } of news) this.#unread.add(id);
    const [first] = answer.messages;
    const more = answer.more && first?.id > this.#since;
    const everything = this.#views.get(null);
    // A gap before them: as above.
    if (more && everything.floor < first.id) Object.assign(everything, { floor: first.id, before: first.id, more });
    this.openRoom(room, answer);
    return { count: news.length, more };
  }

  /** Somebody has another name; if it was us, what we have said stays ours. */
  renamed(name, to) {
    if (name === this.me) {
      for (const { message } of this.#lines) if (message?.from === name) message.own = true;
      this.me = to;
      this.redraw();
    }
    const line = { order: (this.#lines.at(-1)?.order ?? 0) + 0.25, at: Date.now(), news: { kind: "renamed", names: [name], to } };
    this.#lines.push(line);
    if (this.#shows(line)) this.#append(line);
  }

  closeRoom(room) {
    this.#views.delete(room);
    if (this.view === room) this.turn(null);
  }

  /** Shows another view, at its end or where the unread begins. */
  turn(view) {
    this.view = view;
    this.#first = 0;
    this.#mark();
    this.#following = true;
    this.#draw();
    this.#look();
  }

  /** A message that has just been said. @param {Message} message */
  said(message) {
    if (!this.#keep(message)) return;
    const line = this.#lines.at(-1);
    if (message.from !== this.me) this.#unread.add(message.id);
    const shown = this.#shows(line);
    if (shown && this.#seen()) this.#unread.delete(message.id);
    else this.#mark();
    if (this.#forget() || line.message !== message) this.#draw();
    else if (shown) this.#append(line);
    this.#asks.changed();
  }

  /** Something that has just happened. @param {News} news */
  happened(news) {
    const last = this.#lines.at(-1);
    if (last?.news?.kind === news.kind && last.news.room === news.room && Date.now() - last.at < TOGETHER) {
      last.news.names = [...new Set([...last.news.names, ...news.names])];
      if (this.#last === last) $("lines").lastElementChild.textContent = newsText(last.news);
      return;
    }
    const line = { order: (last?.order ?? 0) + 0.25, at: Date.now(), news };
    this.#lines.push(line);
    if (this.#forget()) this.#draw();
    else if (this.#shows(line)) this.#append(line);
  }

  /** How many messages that a view shows are unread. */
  unread(view) {
    return this.#unreadLines().filter((line) => belongs(line, view)).length;
  }

  /** The people whose private messages are unread. */
  unreadFrom() {
    return new Set(this.#unreadLines().flatMap(({ message }) => (message.kind === "private" ? [message.from] : [])));
  }

  toEnd() {
    this.#following = true;
    this.#scrollTo($("log").scrollHeight);
    this.#look();
  }

  /** Draws everything anew, in another language for instance. */
  redraw() {
    this.#draw();
  }

  get atEnd() {
    return this.#following;
  }

  // ---- what is kept

  #keep(message) {
    if (this.#known.has(message.id)) return false;
    this.#known.add(message.id);
    const line = asLine(message);
    let place = this.#lines.length;
    while (place > 0 && this.#lines[place - 1].order > line.order) place -= 1;
    this.#lines.splice(place, 0, line);
    return true;
  }

  // A page that is open for weeks does not grow for weeks.
  #forget() {
    if (this.#lines.length <= (this.#following ? KEPT_LINES * 1.2 : MOST_LINES)) return false;
    const gone = this.#lines.splice(0, this.#lines.length - KEPT_LINES);
    for (const { message } of gone) if (message) [this.#known, this.#unread].forEach((ids) => ids.delete(message.id));
    const floor = Math.ceil(this.#lines[0].order);
    for (const state of this.#views.values()) {
      if (state.floor < floor) Object.assign(state, { floor, before: floor, more: true });
    }
    return true;
  }

  async #older() {
    const view = this.view;
    const state = this.#views.get(view);
    if (!state?.more || state.loading) return;
    state.loading = true;
    const answer = await this.#asks.older(state.before, view);
    state.loading = false;
    if (answer.error || isAway(answer)) return;
    for (const message of answer.messages) this.#keep(message);
    state.floor = answer.more ? (answer.messages[0]?.id ?? state.floor) : 0;
    state.before = state.floor;
    state.more = answer.more && answer.messages.length > 0;
    if (this.view === view) this.#draw();
  }

  // ---- what is seen

  #shows(line) {
    return belongs(line, this.view) && line.order >= (this.#views.get(this.view)?.floor ?? 0);
  }

  #unreadLines() {
    if (this.#unread.size === 0) return [];
    return this.#lines.filter(({ message }) => message && this.#unread.has(message.id));
  }

  #seen() {
    return this.#following && !document.hidden;
  }

  // Whoever looks at the end of a view has read what it shows.
  #look() {
    if (this.#seen()) {
      for (const line of this.#unreadLines()) if (this.#shows(line)) this.#unread.delete(line.message.id);
    }
    this.#drawLatest();
    this.#asks.changed();
  }

  #mark() {
    const marked = this.#first && this.#unread.has(this.#first);
    if (!marked) this.#first = this.#unreadLines().find((line) => this.#shows(line))?.message.id ?? this.#first;
  }

  #scrollTo(top) {
    $("log").scrollTop = top;
    this.#top = $("log").scrollTop;
    this.#size = sizeOf($("log"));
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = $("log");
    const up = scrollTop < this.#top;
    this.#top = scrollTop;
    if (scrollHeight - scrollTop - clientHeight < CLOSE) this.#following = true;
    else if (this.#following && this.#size !== sizeOf($("log"))) return this.toEnd(); // the window did it, not a person
    else if (up) this.#following = false;
    this.#look();
    if (scrollTop < 200) this.#older();
  }

  // ---- drawing

  // The whole view. Screen readers are not told: it is nothing new.
  #draw() {
    const log = $("log");
    log.setAttribute("aria-live", "off");
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => log.setAttribute("aria-live", "polite"), 500);

    const fromEnd = log.scrollHeight - log.scrollTop;
    this.#last = null;
    const lines = this.#lines.filter((line) => this.#shows(line));
    $("lines").replaceChildren(...lines.flatMap((line) => this.#items(line)));
    const { more } = this.#views.get(this.view) ?? { more: false };
    $("older").hidden = !more;
    $("beginning").hidden = more || lines.length === 0;
    $("beginning").textContent = say("beginning");
    this.#drawEmpty();
    this.#scrollTo(log.scrollHeight - (this.#following ? 0 : fromEnd));
    this.#drawLatest();
    if (more && log.scrollHeight <= log.clientHeight) this.#older();
  }

  #append(line) {
    $("lines").append(...this.#items(line));
    this.#drawEmpty();
    if (this.#following) this.toEnd();
    else this.#drawLatest();
  }

  #drawEmpty() {
    const empty = this.#last === null;
    $("empty").hidden = !empty;
    if (!empty) return;
    $("empty-title").textContent = this.view === null ? say("nothing") : say("nothingIn", { room: roomName(this.view) });
    $("empty-hint").textContent = say(this.view === null ? "nothingHint" : "nothingInHint");
  }

  #drawLatest() {
    const count = this.unread(this.view);
    $("latest").hidden = this.#following;
    $("latest").textContent = count > 0 ? say("newMessages", { count }) : say("latest");
    $("latest").classList.toggle("new", count > 0);
  }

  /** The items for a line that comes after the last one: perhaps a day or a mark, and the line. */
  #items(line) {
    const before = this.#last;
    this.#last = line;
    const items = [];
    const date = day(line.at);
    if (!before || day(before.at) !== date) items.push(element("li", { class: "day" }, element("span", {}, date)));
    const marked = line.message && line.message.id === this.#first;
    if (marked) items.push(element("li", { class: "mark" }, element("span", {}, say("newLine"))));
    if (line.news) return [...items, element("li", { class: "news" }, newsText(line.news))];
    const more = items.length === 0 && before?.message && together(before.message, line.message);
    return [...items, this.#item(line.message, more)];
  }

  #item(message, more) {
    const own = message.own || message.from === this.me;
    const item = element("li", { class: "said", "data-id": String(message.id) });
    item.classList.toggle("own", own);
    item.classList.toggle("private", message.kind === "private");
    item.classList.toggle("together", Boolean(more));
    const by = element("p", { class: "by" }, this.#author(message.from, own));
    if (message.kind === "private") {
      const to = message.to === this.me ? say("toYou") : say("toOther", { name: message.to });
      by.append(element("span", { class: "alone" }, to));
    }
    const rooms = message.rooms ?? [];
    if (rooms.length !== 1 || rooms[0] !== this.view) by.append(...rooms.map(roomTag));
    by.append(element("time", { datetime: new Date(message.at).toISOString() }, clock(message.at)));
    item.append(face(message.from), by, element("p", { class: "text", dir: "auto" }, ...linked(message.text)));
    return item;
  }

  // By keyboard, names are reached in the list of people: a hundred stops on the way to the message field help nobody.
  #author(name, own) {
    const text = element("bdi", {}, own ? say("you") : name);
    if (own) return coloured(element("strong", { class: "name" }, text), name);
    const attributes = { type: "button", class: "name", tabindex: "-1", "data-name": name };
    const button = element("button", { ...attributes, title: say("writeTo", { name }) }, text);
    return coloured(button, name);
  }
}

// How far a view reaches with what the server has given. Without its database it has not given all, and is asked again.
function reach(answer) {
  const more = answer.more || isAway(answer);
  const first = answer.messages[0]?.id;
  return { floor: (more && first) || 0, before: first ?? Number.MAX_SAFE_INTEGER, more, loading: false };
}

const isAway = ({ database }) => database?.state === "away";

const sizeOf = ({ clientWidth, clientHeight, scrollHeight }) => [clientWidth, clientHeight, scrollHeight].join();

const asLine = (message) => ({ order: message.id, at: message.at, message });

// Who comes and goes is told where all is told; who enters and leaves a room, in that room.
function belongs({ message, news }, view) {
  if (news) return (news.room ?? null) === view;
  return view === null || (message.rooms ?? []).includes(view);
}

function together(one, two) {
  const same = one.from === two.from && one.kind === two.kind && one.to === two.to && two.at - one.at < TOGETHER;
  return same && (one.rooms ?? []).join("\n") === (two.rooms ?? []).join("\n");
}

const newsText = ({ kind, names, room, to }) => say(kind, { names: listed(names), room: room && roomName(room), to });
