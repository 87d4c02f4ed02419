// The two lists: rooms, with how many people are in each and who; and people.

import { $, element, face, redraw, coloured } from "./dom.js";
import { listed, roomName, say } from "./texts.js";

const ALWAYS = ["red", "green"];

export class Lists {
  /** Our name. */
  me = "";
  /** Everyone who is here, by name. @type {Set<string>} */
  people = new Set();
  /** How many people are in each room. @type {Map<string, number>} */
  rooms = new Map();
  /** The rooms that we are in, and who else is. @type {Map<string, Set<string>>} */
  mine = new Map();

  #open = new Map(); // rooms whose people are listed below them: names, or null until the server has told
  #asking = new Map(); // rooms that the server was asked about, and whether to ask again
  #asks;
  #log;

  /** @param {object} asks `turn(view)`, `enter(room)`, `write(name)`, `who(room)` */
  constructor(asks, log) {
    this.#asks = asks;
    this.#log = log;
  }

  /** A room has so many people now. */
  counted(room, count) {
    if (count > 0) this.rooms.set(room, count);
    else this.rooms.delete(room);
    if (this.#open.has(room)) this.#who(room);
  }

  /** Somebody has another name. */
  renamed(name, to) {
    for (const names of [this.people, ...this.mine.values()]) if (names.delete(name)) names.add(to);
    for (const room of this.#open.keys()) this.#who(room);
  }

  draw(me) {
    this.me = me;
    redraw($("rooms"), [this.#everything(), ...this.#sorted().map((room) => this.#room(room))]);
    $("people-title").textContent = say("people", { count: this.people.size });
    redraw($("people"), this.#everyone(me));
  }

  // ---- rooms

  // Red and green are always there; then come the rooms that one is in, then the others.
  #sorted() {
    const names = new Set([...ALWAYS, ...this.mine.keys(), ...this.rooms.keys()]);
    const rank = (room) => (ALWAYS.includes(room) ? ALWAYS.indexOf(room) : this.mine.has(room) ? 2 : 3);
    return [...names].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  }

  #everything() {
    const button = this.#turning(null, say("everything"));
    button.prepend(element("span", { class: "dot every", "aria-hidden": "true" }));
    return element("li", {}, button);
  }

  #room(room) {
    const inside = this.mine.has(room);
    const name = element("bdi", { class: "cut" }, roomName(room));
    const dot = coloured(element("span", { class: "dot", "aria-hidden": "true" }), room);
    let button;
    if (inside) {
      button = this.#turning(room, name);
    } else {
      const label = say("enterRoom", { room: roomName(room) });
      button = element("button", { type: "button", class: "to-room", "data-key": `enter ${room}`, "aria-label": label });
      button.append(name, element("span", { class: "hint", "aria-hidden": "true" }, say("enter")));
      button.addEventListener("click", () => this.#asks.enter(room));
    }
    button.prepend(dot);
    button.dataset.room = room;
    const item = element("li", { class: inside ? "mine" : "" }, button, this.#count(room));
    if (this.#open.has(room)) item.append(this.#inside(room));
    return item;
  }

  #turning(view, name) {
    const current = String(this.#log.view === view);
    const key = view === null ? "everything" : `room ${view}`;
    const button = element("button", { type: "button", class: "to-room", "data-key": key, "aria-current": current }, name);
    const count = this.#log.unread(view);
    if (count > 0) {
      const label = say("unread", { count });
      button.append(element("span", { class: "unread", role: "img", "aria-label": label }, String(count)));
    }
    button.addEventListener("click", () => this.#asks.turn(view));
    return button;
  }

  #count(room) {
    const count = this.rooms.get(room) ?? 0;
    const attributes = {
      type: "button",
      class: "count",
      "data-key": `who ${room}`,
      "aria-expanded": String(this.#open.has(room)),
      "aria-label": say("whoIn", { room: roomName(room), count }),
      title: say("whoIn", { room: roomName(room), count }),
    };
    const button = element("button", attributes, String(count));
    button.addEventListener("click", () => {
      if (this.#open.delete(room)) this.#asks.changed();
      else this.#who(room);
    });
    return button;
  }

  #inside(room) {
    const names = this.#open.get(room);
    const text = names === null ? "…" : names.length > 0 ? names.join(", ") : say("nobodyIn");
    return element("p", { class: "inside" }, text);
  }

  async #who(room) {
    this.#open.set(room, this.#open.get(room) ?? null);
    this.#asks.changed();
    const asking = this.#asking.has(room);
    this.#asking.set(room, asking); // true: once more, when there is an answer
    if (asking) return;
    do {
      this.#asking.set(room, false);
      const answer = await this.#asks.who(room);
      if (!answer.error && this.#open.has(room)) this.#open.set(room, answer.people);
      this.#asks.changed();
    } while (this.#asking.get(room) && this.#open.has(room));
    this.#asking.delete(room);
  }

  // ---- people

  #everyone(me) {
    const room = this.#log.view;
    const inside = this.mine.get(room);
    if (!inside) return this.#persons(me, [...this.people]);
    const others = [...this.people].filter((name) => !inside.has(name));
    const items = [heading("inside", say("inThisRoom", { room: roomName(room) })), ...this.#persons(me, [...inside])];
    if (others.length > 0) items.push(heading("outside", say("elsewhere", { room: roomName(room) })), ...this.#persons(me, others));
    return items;
  }

  // Oneself first, then those whose messages are unread.
  #persons(me, names) {
    const waiting = this.#log.unreadFrom();
    names.sort((a, b) => (b === me) - (a === me) || waiting.has(b) - waiting.has(a) || a.localeCompare(b));
    return names.map((name) => this.#person(name, name === me, waiting.has(name)));
  }

  #person(name, own, waiting) {
    const parts = [face(name), element("bdi", { class: "cut" }, name)];
    if (own) return element("li", { class: "person", "data-key": `person ${name}` }, ...parts, element("span", { class: "you" }, say("you")));
    const attributes = { type: "button", class: "person", "data-key": `person ${name}`, title: say("writeTo", { name }) };
    const button = element("button", attributes, ...parts);
    if (waiting) button.append(element("span", { class: "dot new", role: "img", "aria-label": say("newElsewhere") }));
    button.addEventListener("click", () => this.#asks.write(name));
    return element("li", {}, button);
  }
}

const heading = (key, text) => element("li", { "data-key": key }, element("h3", {}, text));

/** "Ada and Grace are typing …", or nothing. */
export function typingText(names) {
  if (names.length === 0) return "";
  if (names.length > 3) return say("typingCrowd");
  return say(names.length === 1 ? "typing" : "typingMany", { names: listed(names) });
}
