// The page of the chat. What others wrote reaches the document through textContent only, so it stays text.

const $ = (id) => document.getElementById(id);

const FIRST_ROOM = "lobby";
const KEPT_LINES = 500;
const SHORTEST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const TOGETHER = 3 * 60; // seconds: one after the other, by the same person, is shown as one

const me = { id: null, name: sessionStorage.getItem("name") };
const wanted = location.hash.slice(1); // the room that the address names
const mine = new Map(); // the rooms I am in, by name: { log, people, unread, last }
let open = []; // the rooms that somebody is in: { name, people }
let current = null; // the name of the room that is shown

// ---- the connection

let socket = null;
let failures = 0;
let timer = 0;

function connect() {
  clearTimeout(timer);
  show("waiting", failures ? "Reconnecting …" : "Connecting …");
  const url = new URL("ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  socket.addEventListener("open", opened);
  socket.addEventListener("message", (event) => told(JSON.parse(event.data)));
  socket.addEventListener("close", lost);
}

function opened() {
  failures = 0;
  show("open", "Connected");
  send({ type: "name", name: me.name });
  for (const room of mine.keys()) send({ type: "enter", room });
}

// Waits longer after each failure, and never as long as everyone else, who has lost the server at the same moment.
function lost() {
  const wait = Math.min(SHORTEST_WAIT * 2 ** failures, LONGEST_WAIT) * (0.5 + Math.random() / 2);
  failures += 1;
  show("lost", "Reconnecting …");
  timer = setTimeout(connect, wait);
}

function retryNow() {
  if (socket?.readyState === WebSocket.CLOSED && document.visibilityState === "visible") connect();
}

function send(command) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(command));
  return true;
}

function show(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
  $("say").querySelector("button").disabled = state !== "open";
}

// ---- what the server tells

function told(message) {
  switch (message.type) {
    case "you":
      me.id = message.id;
      break;
    case "rooms":
      open = message.rooms;
      drawRooms();
      break;
    case "people":
      toldPeople(message);
      break;
    case "said":
      toldSaid(message);
      break;
    case "error":
      if (current) addLine(current, news(message.text));
      break;
  }
}

function toldPeople({ room, people, came, went }) {
  const state = mine.get(room);
  if (!state) return;
  state.people = people;
  if (came) addLine(room, news(came.id === me.id ? `You are in ${room}` : `${came.name} came in`));
  if (went) addLine(room, news(`${went.name} left`));
  if (room === current) drawPeople();
}

function toldSaid({ room, by, text, at }) {
  const state = mine.get(room);
  if (!state) return;
  const own = by.id === me.id;
  const more = state.last?.id === by.id && state.last.name === by.name && at - state.last.at < TOGETHER;
  const line = element("li", { class: "said" });
  line.classList.toggle("own", own);
  line.classList.toggle("more", more);
  const time = element("time", { datetime: new Date(at * 1000).toISOString() }, clock(at));
  const name = coloured(element("strong", {}, own ? "You" : by.name), by.name);
  const heading = element("p", { class: "by" });
  heading.append(name, time);
  line.append(face(by.name), heading, element("p", { class: "text" }, text));
  addLine(room, line);
  state.last = { id: by.id, name: by.name, at };
  if (room !== current || document.hidden) {
    state.unread += 1;
    drawRooms();
  }
}

// ---- rooms

function enter(name) {
  name = name.trim().replace(/\s+/g, " ").slice(0, 40);
  if (!name) return;
  if (!mine.has(name)) {
    const log = element("ol", { role: "log", "aria-label": `Messages in ${name}` });
    $("logs").append(log);
    mine.set(name, { log, people: [], unread: 0, last: null });
    send({ type: "enter", room: name });
  }
  turnTo(name);
  $("text").focus();
}

function leave(name) {
  send({ type: "leave", room: name });
  mine.get(name).log.remove();
  mine.delete(name);
  turnTo(mine.keys().next().value ?? null);
}

function turnTo(name) {
  current = name;
  // Until somebody has a name, the address keeps the room that it names.
  if (me.name !== null) history.replaceState(null, "", name ? `#${encodeURIComponent(name)}` : location.pathname);
  document.title = name ? `${name} · Rooms` : "Rooms";
  $("title").textContent = name ?? "";
  for (const [other, { log }] of mine) log.hidden = other !== name;
  for (const part of [$("say"), $("logs"), document.querySelector(".head")]) part.hidden = !name;
  $("nowhere").hidden = Boolean(name);
  if (name) mine.get(name).unread = 0;
  drawRooms();
  drawPeople();
  scrollDown();
}

function addLine(room, line) {
  const { log } = mine.get(room);
  log.append(line);
  if (line.classList.contains("news")) mine.get(room).last = null;
  while (log.childElementCount > KEPT_LINES) log.firstElementChild.remove();
  if (room === current && following) scrollDown();
}

// Who has scrolled up to read is left alone; everyone else sees the last line, also when the window changes.
let following = true;

function scrollDown() {
  following = true;
  $("logs").scrollTop = $("logs").scrollHeight;
}

$("logs").addEventListener("scroll", () => {
  following = $("logs").scrollHeight - $("logs").scrollTop - $("logs").clientHeight < 80;
});

new ResizeObserver(() => following && scrollDown()).observe($("logs"));

// ---- drawing

// My rooms come first, in the order in which I entered them; then those of others.
function drawRooms() {
  const sizes = new Map(open.map(({ name, people }) => [name, people]));
  const names = new Set([...mine.keys(), ...sizes.keys()]);
  const focused = document.activeElement?.dataset?.room;
  $("rooms").replaceChildren(...[...names].map((name) => roomItem(name, sizes.get(name) ?? 0)));
  if (focused) $("rooms").querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function roomItem(name, people) {
  const button = element("button", { type: "button", "data-room": name, "aria-current": String(name === current) });
  button.classList.toggle("mine", mine.has(name));
  button.append(element("span", { class: "cut" }, name));
  const unread = mine.get(name)?.unread;
  if (unread) button.append(element("span", { class: "unread", "aria-label": `${unread} unread` }, unread));
  button.append(element("span", { class: "count", "aria-label": count(people, "person", "people") }, people));
  button.addEventListener("click", () => enter(name));
  const item = element("li");
  item.append(button);
  return item;
}

function drawPeople() {
  const people = mine.get(current)?.people ?? [];
  const sorted = [...people].sort((a, b) => (b.id === me.id) - (a.id === me.id) || a.name.localeCompare(b.name));
  $("names").replaceChildren(...sorted.map(personItem));
  $("who").textContent = `${people.length} here`;
}

function personItem({ id, name }) {
  const item = element("li");
  item.append(face(name), element("span", { class: "cut" }, name));
  if (id === me.id) item.append(element("span", { class: "you" }, "you"));
  return item;
}

function drawMe() {
  $("me").replaceChildren(face(me.name), element("span", { class: "cut" }, me.name));
  $("me").hidden = false;
}

function face(name) {
  return coloured(element("span", { class: "face", "aria-hidden": "true" }, [...name][0].toUpperCase()), name);
}

function news(text) {
  return element("li", { class: "news" }, text);
}

// The same name has the same colour everywhere.
function coloured(node, name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 65521;
  node.style.setProperty("--hue", (hash * 137.5) % 360);
  return node;
}

function element(tag, attributes = {}, text) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

// ---- what the person does

$("introduce").addEventListener("submit", () => {
  const name = $("name").value.trim() || me.name;
  if (!name) return;
  me.name = name;
  sessionStorage.setItem("name", name);
  drawMe();
  send({ type: "name", name });
});

// Without a name nobody comes in: Escape closes this only when there is one.
$("welcome").addEventListener("cancel", (event) => {
  if (me.name === null) event.preventDefault();
});

$("welcome").addEventListener("close", () => {
  if (me.name === null) $("welcome").showModal();
  else if (socket === null) start();
});

$("me").addEventListener("click", () => {
  $("name").value = me.name;
  $("welcome").showModal();
});

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("room").value);
  $("room").value = "";
});

$("leave").addEventListener("click", () => leave(current));

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text && send({ type: "say", room: current, text })) {
    $("text").value = "";
    scrollDown();
  }
  $("text").focus();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
});

$("who").addEventListener("click", () => showPeople(!$("people").classList.contains("shown")));

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") showPeople(false);
});

function showPeople(shown) {
  $("people").classList.toggle("shown", shown);
  $("who").setAttribute("aria-expanded", String(shown));
}

addEventListener("online", retryNow);

// Browsers may keep a page that was left, with its connection, for when one comes back: leave and return in earnest.
addEventListener("pagehide", () => socket?.close());
addEventListener("pageshow", (event) => event.persisted && retryNow());

document.addEventListener("visibilitychange", () => {
  retryNow();
  if (!document.hidden && current) turnTo(current);
});

function start() {
  enter(decoded(wanted) || FIRST_ROOM);
  connect();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

turnTo(null);
if (me.name === null) {
  $("welcome").showModal();
} else {
  drawMe();
  start();
}
