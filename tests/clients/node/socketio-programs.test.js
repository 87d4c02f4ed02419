// The programs of examples/socketio with the official client. PORT says where they are, TRANSPORTS by which transports.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { io } from "socket.io-client";

const { PORT, TRANSPORTS } = process.env;
const opened = [];
after(() => opened.forEach((socket) => socket.disconnect()));

/** A socket at the path of a program, before it is connected; `heard` has its events. */
function open(path, nsp = "/", more = {}) {
  const socket = io(`http://127.0.0.1:${PORT}${nsp}`, { path, transports: TRANSPORTS.split(","), forceNew: true, ...more });
  socket.heard = [];
  socket.onAny((...event) => socket.heard.push(event));
  opened.push(socket);
  return socket;
}

async function connected(...where) {
  const socket = open(...where);
  await once(socket, "connect");
  return socket;
}

/** Waits until a socket has heard an event for which this is true, and gives it. */
async function heard(socket, isIt) {
  for (;;) {
    const found = socket.heard.find(isIt);
    if (found !== undefined) return found;
    await new Promise((come) => socket.onAny(function one() { socket.offAny(one); come(); }));
  }
}

const said = (text) => ([event, what]) => event === "message" && what === text;

test("hello: messages each way", async () => {
  const socket = await connected("/socket.io/");
  await heard(socket, said("welcome"));
  socket.send("good morning");
  await heard(socket, said("you said: good morning"));
  assert.deepEqual(socket.heard, [["message", "welcome"], ["message", "you said: good morning"]]);
  socket.disconnect();
});

test("hello: who is cut off comes back by itself, and who has gone does not", async () => {
  const socket = await connected("/socket.io/", "/", { reconnectionDelay: 5 });
  const { id } = socket;
  const states = [];
  socket.on("disconnect", (reason) => states.push(`disconnect: ${reason}`));
  socket.io.on("reconnect_attempt", (attempt) => states.push(`reconnect_attempt ${attempt}`));
  socket.io.on("reconnect", (attempt) => states.push(`reconnect ${attempt}`));
  socket.io.engine.close();
  await once(socket, "connect");
  assert.notEqual(socket.id, id);
  assert.deepEqual(states, ["disconnect: forced close", "reconnect_attempt 1", "reconnect 1"]);
  assert.equal(socket.active, true);
  socket.disconnect();
  assert.equal(states.at(-1), "disconnect: io client disconnect");
  assert.equal(socket.active, false);
});

test("events: names of their own, several arguments", async () => {
  const socket = await connected("/events/");
  socket.emit("shout", "hear me");
  assert.deepEqual(await heard(socket, ([event]) => event === "echo"), ["echo", "HEAR ME", 7]);
});

test("events: the server acknowledges, to a function and to a promise", async () => {
  const socket = await connected("/events/");
  assert.equal(await new Promise((sum) => socket.emit("add", 20, 22, sum)), 42);
  assert.equal(await socket.timeout(5000).emitWithAck("add", 0.5, -2), -1.5);
});

test("events: the client acknowledges, and other events go on meanwhile", async () => {
  const socket = await connected("/events/");
  socket.emit("ask me");
  const [question, answer] = await new Promise((asked) => socket.on("question", (...it) => asked(it)));
  assert.equal(question, "Who are you?");
  assert.equal(await socket.timeout(5000).emitWithAck("add", 1, 2), 3);
  answer("Ada");
  assert.deepEqual(await heard(socket, ([event]) => event === "answer"), ["answer", "Hello Ada!"]);
});

test("events: what does not fit is the sender's trouble, and nobody else's", async () => {
  const [wrong, right] = await Promise.all([connected("/events/"), connected("/events/")]);
  wrong.emit("shout", { not: "text" });
  wrong.emit("shout");
  await assert.rejects(wrong.timeout(200).emitWithAck("add", 1), /timed out/);
  assert.equal(await wrong.emitWithAck("add", 1, 2), 3);
  assert.equal(await right.emitWithAck("add", 1, 2), 3);
});

test("namespaces do not hear each other, and share a connection", async () => {
  const main = await connected("/namespaces/", "/", { forceNew: false });
  const news = await connected("/namespaces/", "/news", { forceNew: false });
  assert.equal(main.io, news.io);
  await Promise.all([heard(main, said("welcome to /")), heard(news, said("welcome to /news"))]);
  // On one connection: when a socket hears something, the other has heard everything that was sent to it before.
  main.send("in main");
  await heard(main, said("in main"));
  news.send("in news");
  await heard(news, said("in news"));
  main.send("the end");
  await heard(main, said("the end"));
  const texts = (socket) => socket.heard.map(([, text]) => text);
  assert.deepEqual(texts(main), ["welcome to /", "in main", "the end"]);
  assert.deepEqual(texts(news), ["welcome to /news", "in news"]);
  // One is left, and the other goes on.
  news.disconnect();
  main.send("still here");
  await heard(main, said("still here"));
});

test("a namespace that is not there is refused", async () => {
  const socket = open("/namespaces/", "/elsewhere");
  assert.equal((await once(socket, "connect_error"))[0].message, "Invalid namespace");
});

test("rooms: who is in which, for as long as they are", async () => {
  const [ada, grace] = await Promise.all([connected("/rooms/"), connected("/rooms/")]);
  const rooms = (expected) => ([event, rooms]) => event === "rooms" && JSON.stringify(rooms.tea) === JSON.stringify(expected);
  assert.equal(await ada.emitWithAck("enter", "tea"), undefined);
  await heard(grace, rooms([ada.id]));
  await grace.emitWithAck("enter", "tea");
  for (const socket of [ada, grace]) await heard(socket, rooms([ada.id, grace.id].sort()));
  grace.emit("say", "tea", "hello");
  for (const socket of [ada, grace]) {
    assert.deepEqual(await heard(socket, ([event]) => event === "said"), ["said", "tea", grace.id, "hello"]);
    socket.heard.length = 0;
  }
  ada.emit("leave", "tea");
  await heard(grace, rooms([grace.id]));
  await ada.emitWithAck("say", "tea", "from outside");
  await grace.emitWithAck("say", "nowhere", "behind it"); // what was sent to grace before has come by now
  assert.ok(![...ada.heard, ...grace.heard].some(([event]) => event === "said"));
  ada.heard.length = 0;
  grace.disconnect();
  await heard(ada, rooms(undefined));
});

test("rooms: nobody enters the room of somebody else's id, one without a name, or too many", async () => {
  const [ada, grace] = await Promise.all([connected("/rooms/"), connected("/rooms/")]);
  for (const room of [grace.id, "", "x".repeat(41)]) {
    assert.equal(await ada.emitWithAck("enter", room), "That is no name for a room.");
  }
  for (const room of ["1", "2", "3", "4", "5"]) assert.equal(await ada.emitWithAck("enter", room), undefined);
  assert.equal(await ada.emitWithAck("enter", "6"), "Nobody is in more than 5 rooms.");
});

test("broadcasts: who gets what", async () => {
  const [ada, grace, linus] = await Promise.all([1, 2, 3].map(() => connected("/broadcasts/")));
  await Promise.all([ada, grace].map((socket) => socket.emitWithAck("enter")));
  const ways = ["to everyone", "to the others", "to the room", "to the others in the room"];
  for (const way of ways) ada.emit(way, way);
  ada.emit("to everyone", "that was all");
  for (const socket of [ada, grace, linus]) await heard(socket, said("that was all"));
  const texts = (socket) => socket.heard.map(([, text]) => text).slice(0, -1);
  assert.deepEqual(texts(ada), ["to everyone", "to the room"]);
  assert.deepEqual(texts(grace), ways);
  assert.deepEqual(texts(linus), ["to everyone", "to the others"]);
  // Who is not in a room may send to it, and who has left hears nothing more of it.
  await grace.emitWithAck("leave");
  for (const socket of [ada, grace, linus]) socket.heard.length = 0;
  linus.emit("to the room", "from outside");
  linus.emit("to everyone", "that was all");
  for (const socket of [ada, grace, linus]) await heard(socket, said("that was all"));
  assert.deepEqual([ada, grace, linus].map(texts), [["from outside"], [], []]);
});
