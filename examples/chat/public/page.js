// The page of the chat: what the person does goes to the connection, what the server tells goes into the lists and the
// log. Of the other modules, connection.js speaks with the server, log.js and lists.js draw, writing.js is the message
// field, texts.js has the words.

import { Connection, secret } from "./connection.js";
import { $, element, face, soon } from "./dom.js";
import { Lists, typingText } from "./lists.js";
import { Log } from "./log.js";
import { language, refusal, roomCalled, roomName, say, speak } from "./texts.js";
import { Writing } from "./writing.js";

const TYPING_FADES = 3000; // milliseconds
const NOTICE_STAYS = 8000;

const query = new URLSearchParams(location.search);

// ---- what is remembered; a browser may forbid it

function remembered(name, store = localStorage) {
  try {
    return store.getItem(`hubbub.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value, store = localStorage) {
  try {
    store.setItem(`hubbub.${name}`, value);
  } catch {
    // then not
  }
}

function rememberName(name) {
  remember("name", name);
  remember("name", name, sessionStorage);
}

// The rooms of this tab are entered again when its page is loaded again; until that is done they are what they were.
let keepingRooms = false;

function rememberRooms() {
  if (!keepingRooms) return;
  remember("rooms", JSON.stringify([...lists.mine.keys()]), sessionStorage);
  remember("view", log.view ?? "", sessionStorage);
}

function rememberedRooms() {
  try {
    const rooms = JSON.parse(remembered("rooms", sessionStorage) ?? "[]");
    return rooms.filter((room) => typeof room === "string");
  } catch {
    return [];
  }
}

// ---- the parts

let connection = null;
const writers = new Map(); // who is typing: a timer, and where

const log = new Log({
  older: (before, room) => connection.ask("older", room === null ? { before } : { before, room }),
  write: writeTo,
  changed: () => drawSoon(),
});

const lists = new Lists({ turn, enter, write: writeTo, who: (room) => connection.ask("who", room), changed: draw }, log);

const writing = new Writing(lists, { send, typing: (where) => connection.typing(where) });

const drawSoon = soon(draw);

function draw() {
  rememberRooms();
  lists.draw(log.me);
  drawHead();
  writing.draw();
  const unread = log.unread(null);
  document.title = (unread > 0 ? `(${unread}) ` : "") + say("title");
  $("elsewhere").hidden = unread === log.unread(log.view);
}

function drawHead() {
  const room = log.view;
  $("title").textContent = room === null ? say("everything") : roomName(room);
  const count = lists.mine.get(room)?.size ?? 0;
  $("about").textContent = room === null ? say("everythingAbout") : say("roomAbout", { count });
  $("leave").hidden = room === null;
}

// ---- what the server tells

const hears = {
  changed(state, { how, answer }) {
    $("status").dataset.state = state;
    document.body.dataset.state = state;
    drawStatus(state, how, answer);
    drawWaiting();
    if (state === "nameless" && !$("welcome").open) askName();
    if (state === "moved" && !$("moved").open) $("moved").showModal();
    drawCome();
  },

  async welcomed(answer, again) {
    log.me = answer.name;
    rememberName(answer.name);
    lists.people = new Set(answer.people);
    lists.rooms = new Map(answer.rooms.map(({ name, people }) => [name, people]));
    // A server that was started anew does not know the rooms that we were in.
    const forgotten = [...lists.mine.keys()].filter((room) => !answer.mine.includes(room));
    lists.mine = new Map([...answer.mine, ...forgotten].map((room) => [room, new Set([answer.name])]));
    if (again) caughtUp = { count: log.catchUp(answer), more: answer.more };
    else log.start(answer, answer.mine);
    const rooms = again ? [] : rememberedRooms().filter((room) => !answer.mine.includes(room));
    answer.mine.forEach(refreshMembers);
    showDatabase(answer.database);
    drawMe();
    draw();
    if ($("welcome").open) $("welcome").close();
    if (!again) writing.focus();
    await Promise.all(forgotten.map(enterAgain)); // what was said there has been missed, too
    await Promise.all(rooms.map(enterAsBefore));
    const view = remembered("view", sessionStorage);
    if (!again && lists.mine.has(view)) turn(view);
    keepingRooms = true;
    rememberRooms();
  },

  refused(answer) {
    askName();
    drawCome();
    const here = answer.error === "here";
    $("takeover").hidden = !here;
    if (here && unasked !== null) {
      // A second tab of one browser: nobody has done anything wrong.
      $("introduction").textContent = say("second", { name: unasked });
      $("takeover").textContent = say("takeoverOf", { name: unasked });
      $("name").value = "";
    } else {
      showRefusal($("name"), $("name-error"), refusal("name", answer));
      $("takeover").textContent = say("takeover");
    }
  },

  unsaid(message, answer) {
    notice(refusal("say", answer), "warn");
    writing.giveBack(message);
  },

  queued: () => drawWaiting(),

  message(message) {
    hasTyped(message.from);
    log.said(message);
  },

  // What is recovered may tell of ourselves, as others have seen us.
  joined({ name }) {
    if (name === log.me) return;
    lists.people.add(name);
    log.happened({ kind: "joined", names: [name] });
    drawSoon();
  },

  left({ name }) {
    if (name === log.me) return;
    hasTyped(name);
    lists.people.delete(name);
    for (const members of lists.mine.values()) members.delete(name);
    log.happened({ kind: "left_", names: [name] });
    drawSoon();
  },

  renamed({ name, to }) {
    hasTyped(name);
    lists.renamed(name, to);
    writing.renamed(name, to);
    const own = name === log.me;
    log.renamed(name, to);
    if (own) {
      connection.called(to);
      rememberName(to);
      drawMe();
    }
    drawSoon();
  },

  room({ name, people }) {
    lists.counted(name, people);
    drawSoon();
  },

  entered({ room, name }) {
    if (name === log.me) return;
    lists.mine.get(room)?.add(name);
    log.happened({ kind: "entered", names: [name], room });
    drawSoon();
  },

  departed({ room, name }) {
    if (name === log.me) return;
    lists.mine.get(room)?.delete(name);
    log.happened({ kind: "departed", names: [name], room });
    drawSoon();
  },

  typing({ name, rooms }) {
    clearTimeout(writers.get(name)?.timer);
    const timer = setTimeout(() => hasTyped(name), TYPING_FADES);
    writers.set(name, { timer, rooms });
    drawTyping();
  },

  notice(told) {
    if (told.code === "slow") notice(say("slow", { count: Math.ceil(told.seconds) }), "warn", Math.max(NOTICE_STAYS, 1000 * told.seconds));
    if (told.code === "database") showDatabase(told, true);
  },
};

let caughtUp = { count: 0, more: false }; // what came when we were back
let settled = 0;

function drawStatus(state, how, answer) {
  clearTimeout(settled);
  const texts = { open: "connected", nameless: "naming", moved: "gone" };
  let text = say(texts[state] ?? state);
  if (state === "open" && how !== "first") {
    if (answer?.database.state === "away") text = say("caughtUpPerhaps");
    else if (how === "recovered" || (caughtUp.count === 0 && !caughtUp.more)) text = say("recovered");
    else text = caughtUp.more ? say("caughtUpMore") : say("caughtUp", { count: caughtUp.count });
    $("status").dataset.state = "back";
    settled = setTimeout(() => hears.changed("open", { how: "first" }), NOTICE_STAYS);
  }
  $("status").textContent = text;
}

function hasTyped(name) {
  clearTimeout(writers.get(name)?.timer);
  if (writers.delete(name)) drawTyping();
}

function drawTyping() {
  const here = [...writers].filter(([, { rooms }]) => log.view === null || rooms?.includes(log.view));
  $("typing").textContent = typingText(here.map(([name]) => name));
}

// What was typed and is not acknowledged; while all is well that is too short to be seen.
function drawWaiting() {
  const { waiting, state } = connection;
  $("waiting").hidden = waiting.length === 0;
  const why = say(state === "open" ? "sending" : "kept");
  const items = waiting.map(({ text }) => element("li", {}, element("p", {}, text), element("small", {}, why)));
  $("waiting").replaceChildren(...items);
  if (log.atEnd) log.toEnd();
}

let lost = 0;

function showDatabase({ state, lost: now, waiting = 0 }, told = false) {
  $("database").hidden = state === "well";
  $("database").textContent = state === "well" ? "" : say("databaseAway", { count: waiting });
  if (told && state === "well") notice(now > lost ? say("databaseLost", { count: now - lost }) : say("databaseBack"));
  if (state === "well" || !told) lost = now; // one notice more comes while it is away: of the first that is lost
}

// ---- rooms

function turn(view) {
  writing.turn(view);
  log.turn(view);
  allIsWell();
  drawTyping();
  draw();
  showSide(false);
}

async function enter(room) {
  const answer = await connection.ask("join", room);
  if (answer.error === "already" && lists.mine.has(room)) turn(room);
  showRefusal($("room"), $("room-error"), answer.error ? refusal("room", { ...answer, room }) : "");
  if (answer.error) return false;
  lists.mine.set(answer.room, new Set(answer.people));
  log.openRoom(answer.room, answer);
  turn(answer.room);
  writing.focus();
  return true;
}

async function enterAsBefore(room) {
  const answer = await connection.ask("join", room);
  if (answer.error) return;
  lists.mine.set(answer.room, new Set(answer.people));
  log.openRoom(answer.room, answer);
  drawSoon();
}

async function enterAgain(room) {
  const answer = await connection.ask("join", room);
  if (answer.error === "silent") return; // then we are away again, and try again
  if (answer.error) left(room);
  else {
    lists.mine.set(room, new Set(answer.people));
    const { count, more } = log.openRoomAgain(room, answer);
    caughtUp = { count: caughtUp.count + count, more: caughtUp.more || more };
    drawSoon();
  }
}

async function leave(room) {
  const answer = await connection.ask("leave", room);
  const left_room = say("left_room", { room: roomName(room) });
  notice(answer.error ? refusal("room", { ...answer, room }) : left_room, answer.error ? "warn" : "info");
  if (answer.error !== "silent") left(room);
}

function left(room) {
  lists.mine.delete(room);
  writing.rooms.delete(room);
  log.closeRoom(room);
  draw();
}

async function refreshMembers(room) {
  const answer = await connection.ask("who", room);
  if (!answer.error && lists.mine.has(room)) lists.mine.set(room, new Set(answer.people));
  drawSoon();
}

// ---- what is written

function send(text, rooms) {
  const refused = text === "" ? "empty" : connection.say(text, rooms) ? "" : "full";
  notice(refused && refusal("say", { error: refused }), "warn");
  if (refused) return false;
  // What one says is always seen.
  if (log.view !== null && !rooms.includes(log.view)) {
    log.turn(null);
    draw();
  }
  log.toEnd();
  return true;
}

function writeTo(name) {
  showSide(false);
  writing.to(name);
}

// ---- notices and refusals

let fading = 0;

/** What was refused is no matter any more: something else is done now. */
function allIsWell() {
  if ($("notice").dataset.kind === "warn") notice("");
  showRefusal($("room"), $("room-error"), "");
}

function notice(text, kind = "info", stays = kind === "info" ? NOTICE_STAYS : 0) {
  clearTimeout(fading);
  $("notice").hidden = text === "";
  $("notice").dataset.kind = kind;
  $("notice").textContent = text;
  if (text && stays > 0) fading = setTimeout(() => notice(""), stays);
}

function showRefusal(field, place, text) {
  place.textContent = text;
  place.hidden = text === "";
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

// ---- the name

// The name that this page has asked for by itself, which nobody has typed.
let unasked = null;

function askName() {
  if ($("welcome").open) return;
  showRefusal($("name"), $("name-error"), "");
  $("introduction").textContent = say("introduction");
  $("takeover").hidden = true;
  $("name").value = $("name").value || (remembered("name") ?? "");
  $("welcome").showModal();
  $("name").select();
}

function introduce(takeover) {
  const name = $("name").value.trim() || (takeover ? (unasked ?? "") : "");
  if (!takeover) unasked = null;
  showRefusal($("name"), $("name-error"), name === "" ? refusal("name", { error: "empty" }) : "");
  $("takeover").hidden = true;
  if (name !== "") connection.enter(name, takeover);
  drawCome();
  $("name").focus();
}

const drawCome = () => ($("come").textContent = say(connection.entering ? "coming" : "come"));

function drawMe() {
  $("me").hidden = false;
  $("me").setAttribute("aria-label", say("changeName", { name: log.me }));
  $("me").title = say("changeName", { name: log.me });
  $("me").replaceChildren(face(log.me), element("bdi", { class: "cut" }, log.me));
}

$("introduce").addEventListener("submit", (event) => {
  event.preventDefault();
  introduce(false);
});

$("takeover").addEventListener("click", () => introduce(true));

// Nobody is in the chat without a name, and nobody takes one back by accident: who presses Escape is asked again.
$("welcome").addEventListener("close", () => connection.name === null && askName());
$("moved").addEventListener("close", () => connection.state === "moved" && $("moved").showModal());
$("moved").addEventListener("submit", () => connection.connect());

// Nothing happens before it is confirmed; Escape and Cancel leave everything as it is.
$("me").addEventListener("click", () => {
  showRefusal($("new-name"), $("new-name-error"), "");
  $("new-name").value = log.me;
  $("rename").showModal();
  $("new-name").select();
});

$("renaming").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("new-name").value.trim();
  const answer = name === "" ? { error: "empty" } : await connection.rename(name);
  showRefusal($("new-name"), $("new-name-error"), answer.error ? refusal("name", answer) : "");
  if (!answer.error) $("rename").close();
});

$("cancel").addEventListener("click", () => $("rename").close());
$("new-name").addEventListener("input", () => showRefusal($("new-name"), $("new-name-error"), ""));
$("text").addEventListener("input", allIsWell);

// ---- rooms and people, beside the talk or above it

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const room = roomCalled($("room").value.trim());
  if (await enter(room)) $("room").value = "";
  else $("room").select();
});

$("room").addEventListener("input", () => showRefusal($("room"), $("room-error"), ""));

$("leave").addEventListener("click", () => log.view !== null && leave(log.view));

function showSide(shown) {
  if (document.body.classList.contains("side-shown") === shown) return;
  document.body.classList.toggle("side-shown", shown);
  $("menu").setAttribute("aria-expanded", String(shown));
  if (shown) $("rooms").querySelector("button").focus();
  else if ($("side").contains(document.activeElement)) $("menu").focus();
}

$("menu").addEventListener("click", () => showSide(!document.body.classList.contains("side-shown")));
document.querySelector(".talk").addEventListener("pointerdown", () => showSide(false));

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (document.body.classList.contains("side-shown")) showSide(false);
  else if (document.querySelector("dialog[open]")) return;
  else if (writing.escape()) event.preventDefault();
  else if (!$("notice").hidden) notice("");
  else if (!log.atEnd) log.toEnd();
  else if (document.activeElement !== $("text")) writing.focus();
});

// ---- the language

function speakAs(wanted) {
  speak(wanted);
  for (const button of document.querySelectorAll(".language")) {
    button.textContent = say("other");
    button.lang = language === "zh" ? "en" : "zh-CN";
  }
  if (connection === null) return;
  hears.changed(connection.state, { how: "first" });
  if (log.me) drawMe();
  log.redraw();
  draw();
}

function otherLanguage() {
  const wanted = language === "zh" ? "en" : "zh";
  remember("language", wanted);
  query.set("lang", wanted);
  history.replaceState(null, "", `?${query}`);
  showRefusal($("name"), $("name-error"), "");
  notice("");
  speakAs(wanted);
}

for (const button of document.querySelectorAll(".language")) button.addEventListener("click", otherLanguage);

// ---- coming and going

// Browsers may keep a page that was left for when one comes back to it; the name is free in the meantime.
addEventListener("pagehide", () => connection?.leave());
addEventListener("pageshow", (event) => event.persisted && connection?.state !== "moved" && connection?.connect());
addEventListener("online", () => connection?.retry());

function start() {
  speakAs(query.get("lang") ?? remembered("language") ?? navigator.language);
  if (!("io" in window)) {
    $("status").dataset.state = "gone";
    $("status").textContent = say("noClient");
    return;
  }
  const key = remembered("key") ?? secret(32);
  remember("key", key);
  connection = new Connection(key, query.get("transport") === "polling", hears);
  const name = remembered("name", sessionStorage) ?? remembered("name");
  if (name === null) askName();
  else {
    unasked = name;
    connection.enter(name);
  }
  speakAs(language);
}

start();
