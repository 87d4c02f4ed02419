// What the other modules draw with. Text reaches the document through textContent and attributes only, so it stays text.

import { roomName } from "./texts.js";

/** @param {string} id */
export const $ = (id) => document.getElementById(id);

/**
 * An element with attributes, and with children or text in it.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string | null)} children strings become text
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A round picture of a name: its first letter, in its colour. */
export function face(name) {
  const [first] = letters(name);
  return coloured(element("span", { class: "face", "aria-hidden": "true" }, first.toUpperCase()), name);
}

/** A room's name with its colour; red and green have theirs, the others one that follows from the name. */
export const roomTag = (room) => coloured(element("span", { class: "tag" }, element("bdi", {}, roomName(room))), room);

// Up to the white space, or to what cannot be part of an address in a Chinese sentence.
const ADDRESS = /https?:\/\/[^\s<>"“”‘’，。！？；：、（）《》【】「」]+/giu;

/** A text in parts, its web addresses as links. @returns {(Node | string)[]} */
export function linked(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutEnd(found);
    if (!URL.canParse(address)) continue;
    const link = element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, address);
    parts.push(text.slice(end, index), link);
    end = index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** Gives an element the hue that belongs to a name. */
export function coloured(node, name) {
  // A custom property set from here is no inline style in the sense of the content security policy.
  node.style.setProperty("--hue", String(HUES[name] ?? (hash(name) * GOLDEN_ANGLE) % 360));
  return node;
}

// What ends the sentence is not part of an address, nor is a bracket that was opened before it.
function withoutEnd(address) {
  const amount = (letter) => address.split(letter).length;
  const surplus = address.endsWith(")") && amount(")") > amount("(");
  return surplus || /[.,;:!?'*]$/u.test(address) ? withoutEnd(address.slice(0, -1)) : address;
}

const HUES = { red: 25, green: 150 };
const GOLDEN_ANGLE = 137.508; // degrees: names that are nearly the same are far apart

function hash(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return sum;
}

// What a reader takes for one letter may be several code points: flags, accents, families.
function letters(text) {
  if (segmenter === null) return [...text];
  return [...segmenter.segment(text)].map(({ segment }) => segment);
}

const segmenter = "Segmenter" in Intl ? new Intl.Segmenter() : null;

/** Runs a drawing function soon, and once for all that has asked for it until then. */
export function soon(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    setTimeout(() => {
      asked = false;
      draw();
    }, 30);
  };
}

/**
 * Makes these a node's children. An item with the same data-key as one that is there is not put in its place: the old
 * one becomes like it. So nothing is taken away from under a finger, and the keyboard stays where it is.
 */
export function redraw(list, items) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const before = new Map([...list.children].map((item) => [keyOf(item), item]));
  const after = items.map((item) => {
    const old = before.get(keyOf(item));
    return old && become(old, item) ? old : item;
  });
  const staying = new Set(after);
  for (const item of [...list.children]) if (!staying.has(item)) item.remove();
  after.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  if (focused !== undefined && !list.contains(document.activeElement))
    list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const keyOf = (item) => item.dataset.key ?? item.querySelector("[data-key]")?.dataset.key;

// Makes a node equal to another, if they are alike enough: what listens to the old one goes on listening.
function become(old, node) {
  if (old.isEqualNode(node)) return true;
  if (old.nodeType !== Node.ELEMENT_NODE || node.nodeType !== Node.ELEMENT_NODE) return false;
  const same = (name) => old.getAttribute(name) === node.getAttribute(name);
  if (old.tagName !== node.tagName || !same("data-key") || !same("style")) return false;
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (!same(name)) old.setAttribute(name, value);
  const children = [...node.childNodes];
  while (old.childNodes.length > children.length) old.lastChild.remove();
  children.forEach((child, place) => {
    const there = old.childNodes[place];
    if (there === undefined) old.append(child);
    else if (!become(there, child)) there.replaceWith(child);
  });
  return true;
}
