// The message field, and to whom what is written there goes: everybody, some of the rooms one is in, or one person.

import { $, coloured, element, face, redraw } from "./dom.js";
import { roomName, say } from "./texts.js";

const TYPING_EVERY = 2000; // milliseconds
const LONGEST = 2000; // characters
const FEW_LEFT = 200;
const MOST_OFFERED = 6; // names after "@"

export class Writing {
  /** The rooms that one writes to; none is everybody. @type {Set<string>} */
  rooms = new Set();

  #lists;
  #asks;
  #typed = 0;
  #offered = []; // names that the text may be going to begin with
  #chosen = 0; // the one of them that Enter takes

  /** @param {object} asks `send(text, rooms)` says whether it took the text; `typing({ rooms } or { to })` */
  constructor(lists, asks) {
    this.#lists = lists;
    this.#asks = asks;
    $("say").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    $("text").addEventListener("input", () => {
      this.#changed();
      this.#tellTyping();
    });
    $("text").addEventListener("blur", () => this.#offer([]));
    $("text").addEventListener("keydown", (event) => {
      // While an input method is at work, Enter chooses among its words.
      if (event.isComposing) return;
      if (this.#offered.length > 0 && this.#choose(event.key)) {
        event.preventDefault();
        return;
      }
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      $("say").requestSubmit();
    });
  }

  /** Puts "@name " before the text, in place of another name. */
  to(name) {
    const text = $("text").value;
    const before = this.#addressee(text);
    $("text").value = `@${name} ${before === null ? text : text.slice(before.length + 2)}`;
    $("text").focus();
    this.#changed();
  }

  /** What one person is written stays with them until it is changed, by this for one: there is no draft to lose then. */
  turn(view) {
    this.rooms = new Set(view === null ? [] : [view]);
    const name = this.#addressee($("text").value);
    if (name !== null && $("text").value.slice(name.length + 1).trim() === "") this.#toAll();
  }

  /** Somebody has another name. */
  renamed(name, to) {
    if (this.#addressee($("text").value) === name || startsWith($("text").value, `@${name} `)) {
      $("text").value = `@${to}${$("text").value.slice(name.length + 1)}`;
    }
  }

  /** Takes back the names that are offered, or else that it is for one person. False if there is neither. */
  escape() {
    if (this.#offered.length > 0) {
      this.#offer([]);
      return true;
    }
    if (document.activeElement !== $("text") || this.#addressee($("text").value) === null) return false;
    this.#toAll();
    return true;
  }

  /** What could not be sent comes back, unless something else has been written meanwhile. */
  giveBack({ text, rooms }) {
    if ($("text").value !== "") return;
    $("text").value = text;
    this.rooms = new Set(rooms);
    this.#changed();
  }

  focus() {
    // On a telephone the keyboard would cover what there is to see.
    if (!matchMedia("(pointer: coarse)").matches) $("text").focus();
  }

  draw() {
    for (const room of this.rooms) if (!this.#lists.mine.has(room)) this.rooms.delete(room);
    const alone = this.#addressee($("text").value);
    const rooms = [...this.#lists.mine.keys()];
    const chips = [null, ...rooms].map((room) => this.#chip(room));
    redraw($("to"), alone === null ? chips : [this.#aloneChip(alone)]);
    $("say").classList.toggle("private", alone !== null);
    const left = LONGEST - $("text").value.length;
    $("left").textContent = left < FEW_LEFT ? say("left", { count: Math.max(left, 0) }) : "";
  }

  #send() {
    const text = $("text").value.trim();
    const rooms = this.#addressee(text) === null ? [...this.rooms] : [];
    const to = this.#addressee($("text").value);
    // The next line is for the same person.
    if (this.#asks.send(text, rooms)) $("text").value = to === null ? "" : `@${to} `;
    this.#changed();
    $("text").focus();
  }

  #changed() {
    const field = $("text");
    if (!CSS.supports("field-sizing", "content")) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight + 2}px`;
    }
    this.#offer(this.#names(field.value));
    this.draw();
  }

  #tellTyping() {
    const text = $("text").value;
    if (text.trim() === "" || Date.now() - this.#typed < TYPING_EVERY) return;
    this.#typed = Date.now();
    const to = this.#addressee(text);
    this.#asks.typing(to === null ? { rooms: [...this.rooms] } : { to });
  }

  // "@name text" is for that person alone. Names may have spaces: the longest that fits is meant, as the server has it.
  #addressee(text) {
    if (!text.startsWith("@")) return null;
    const small = text.toLowerCase();
    const fits = [...this.#lists.people].filter(
      (name) => small.startsWith(`@${name.toLowerCase()}`) && /^\s/.test(text.slice(name.length + 1)),
    );
    return fits.sort((a, b) => b.length - a.length)[0] ?? null;
  }

  // The people whose names begin with what stands after the "@".
  #names(text) {
    if (!text.startsWith("@") || this.#addressee(text) !== null || text.includes("\n")) return [];
    const names = [...this.#lists.people].filter((name) => name !== this.#lists.me && startsWith(name, text.slice(1)));
    return names.sort((a, b) => a.localeCompare(b)).slice(0, MOST_OFFERED);
  }

  #offer(names) {
    this.#offered = names;
    this.#chosen = 0;
    this.#drawOffered();
  }

  #drawOffered() {
    $("names").hidden = this.#offered.length === 0;
    const items = this.#offered.map((name, place) => {
      const attributes = { role: "option", id: `name-${place}`, "data-key": name, "aria-selected": String(place === this.#chosen) };
      const item = element("li", attributes, face(name), element("bdi", { class: "cut" }, name));
      // Not click: the field must not lose the keyboard in between.
      item.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        this.#take(name);
      });
      return item;
    });
    $("names").replaceChildren(...items);
    if (items.length > 0) $("text").setAttribute("aria-activedescendant", `name-${this.#chosen}`);
    else $("text").removeAttribute("aria-activedescendant");
  }

  // A key while names are offered; false if it has nothing to do with them.
  #choose(key) {
    if (key === "Enter" || key === "Tab") {
      this.#take(this.#offered[this.#chosen]);
      return true;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (step === undefined) return false;
    this.#chosen = (this.#chosen + step + this.#offered.length) % this.#offered.length;
    this.#drawOffered();
    return true;
  }

  #take(name) {
    $("text").value = `@${name} `;
    $("text").focus();
    this.#changed();
  }

  #toAll() {
    const name = this.#addressee($("text").value);
    $("text").value = $("text").value.slice(name.length + 1).trimStart();
    this.#changed();
  }

  #chip(room) {
    const pressed = room === null ? this.rooms.size === 0 : this.rooms.has(room);
    const key = room === null ? "everybody" : `room ${room}`;
    const attributes = { type: "button", class: "chip", "data-key": key, "aria-pressed": String(pressed) };
    const chip = element("button", attributes, element("bdi", {}, room === null ? say("everybody") : roomName(room)));
    if (room !== null) coloured(chip, room).dataset.room = room;
    chip.addEventListener("click", () => {
      if (room === null) this.rooms.clear();
      else if (!this.rooms.delete(room)) this.rooms.add(room);
      this.draw();
    });
    return chip;
  }

  #aloneChip(name) {
    const attributes = { type: "button", class: "chip alone", "data-key": `alone ${name}`, title: say("notAlone") };
    const chip = element("button", attributes, say("onlyTo", { name }));
    chip.addEventListener("click", () => {
      this.#toAll();
      $("text").focus();
    });
    return chip;
  }
}

const startsWith = (text, start) => text.toLowerCase().startsWith(start.toLowerCase());
