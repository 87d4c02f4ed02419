// The message field, and to whom what is written there goes: everybody, some of the rooms one is in, or one person.

import { $, coloured, element, redraw } from "./dom.js";
import { say } from "./texts.js";

const TYPING_EVERY = 2000; // milliseconds
const LONGEST = 2000; // characters
const FEW_LEFT = 200;

export class Writing {
  /** The rooms that one writes to; none is everybody. @type {Set<string>} */
  rooms = new Set();

  #lists;
  #asks;
  #typed = 0;

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
    $("text").addEventListener("keydown", (event) => {
      // While an input method is at work, Enter chooses among its words.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
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
    if (this.#asks.send(text, rooms)) $("text").value = "";
    this.#changed();
    $("text").focus();
  }

  #changed() {
    const field = $("text");
    if (!CSS.supports("field-sizing", "content")) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight + 2}px`;
    }
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

  #chip(room) {
    const pressed = room === null ? this.rooms.size === 0 : this.rooms.has(room);
    const key = room === null ? "everybody" : `room ${room}`;
    const attributes = { type: "button", class: "chip", "data-key": key, "aria-pressed": String(pressed) };
    const chip = element("button", attributes, element("bdi", {}, room ?? say("everybody")));
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
      $("text").value = $("text").value.slice(name.length + 2);
      $("text").focus();
      this.#changed();
    });
    return chip;
  }
}
