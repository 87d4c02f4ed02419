// The official client. PORT says where tests/socketio/program.py is, CLIENT which package, TRANSPORTS by which transports,
// PARSER ("json", "msgpack") how packets are written.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

const { CLIENT, PARSER, PORT, TRANSPORTS } = process.env;
const { io } = await import(CLIENT);
const packs = PARSER === "msgpack";
const below = packs ? "/msgpack" : "";
const url = `http://127.0.0.1:${PORT}`;
const is4 = CLIENT !== "socket.io-client-3.1" && CLIENT !== "socket.io-client-4.0";
const options = {
  transports: TRANSPORTS.split(","),
  forceNew: true,
  reconnection: false,
  path: `${below}/socket.io/`,
  ...(packs && { parser: await import("socket.io-msgpack-parser") }),
};

/** A socket whose events can be awaited one by one, none lost. */
function open(nsp = "/", more = {}) {
  const socket = io(url + nsp, { ...options, ...more });
  const heard = [];
  const waiting = [];
  socket.onAny((...event) => (waiting.length ? waiting.shift()(event) : heard.push(event)));
  socket.next = () => (heard.length ? Promise.resolve(heard.shift()) : new Promise((told) => waiting.push(told)));
  socket.until = async (name) => {
    for (;;) {
      const event = await socket.next();
      if (event[0] === name) return event.slice(1);
    }
  };
  socket.ask = (...event) => new Promise((told) => socket.emit(...event, (...answer) => told(answer)));
  return socket;
}

async function connected(nsp, more) {
  const socket = open(nsp, more);
  await once(socket, "connect");
  return socket;
}

/** What the client knows as the reason, or error, of its next event of this name. */
async function told(socket, event) {
  return (await once(socket, event))[0];
}

test("arguments come back as they were, bytes at any depth", async () => {
  const socket = await connected();
  const all = [
    [],
    ["text", 1, 1.5, -0.25, true, null, ["a", { b: {} }], { c: [] }],
    ["grüße, 世界 🎉", "\u2028", "\\", "\"", "\n"],
    [Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0), { er: Buffer.alloc(100_000, 7) }] }],
    // notepack.io writes whole numbers from 2**64 on wrongly.
    [9007199254740991, packs ? 1e15 : 1e300, 0.1],
  ];
  for (const args of all) {
    socket.emit("echo", ...args);
    assert.deepEqual(await socket.next(), ["echo", ...args]);
  }
  socket.close();
});

test("a client with subprotocols, and one that writes bytes in base64, get along", async () => {
  for (const more of [{ protocols: ["mine", "other"] }, { forceBase64: true }]) {
    const socket = await connected("/", more);
    socket.emit("echo", Buffer.from([1, 2, 3]));
    assert.deepEqual(await socket.next(), ["echo", Buffer.from([1, 2, 3])]);
    // By whatever transport it goes on.
    if (TRANSPORTS === "polling,websocket") {
      if (socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
      socket.emit("echo", Buffer.alloc(1000, 7));
      assert.deepEqual(await socket.next(), ["echo", Buffer.alloc(1000, 7)]);
    }
    socket.close();
  }
});

test("what is sent before the connection is open arrives in order", async () => {
  const socket = open();
  for (let number = 0; number < 50; number++) socket.emit("echo", number, Buffer.from([number]));
  for (let number = 0; number < 50; number++) {
    assert.deepEqual(await socket.next(), ["echo", number, Buffer.from([number])]);
  }
  socket.close();
});

test("events are acknowledged, by the handler's last argument, by what it returns, and later", async () => {
  const socket = await connected();
  assert.deepEqual(await socket.ask("add", 3, 4), [7, { of: [3, 4] }]);
  assert.deepEqual(await socket.ask("add later", 3, 4), [7]);
  assert.deepEqual(await socket.ask("join", "room"), []);
  assert.deepEqual(await socket.ask("rooms"), [[socket.id, "room"].sort()]);
  socket.close();
});

test("the client is asked", async () => {
  const socket = await connected();
  socket.on("question", (question, answer) => answer({ question }));
  assert.deepEqual(await socket.ask("ask me", Buffer.from("x")), [{ "you say": { question: Buffer.from("x") } }]);
  socket.close();
});

test("everyone in a room is asked", async () => {
  const sockets = await Promise.all([connected(), connected(), connected()]);
  for (const [number, socket] of sockets.entries()) {
    socket.on("question", (question, answer) => answer(number));
    await socket.ask("join", "asked");
  }
  await sockets[2].ask("leave", "asked");
  assert.deepEqual(await sockets[2].ask("ask everyone", "asked"), [[0, 1]]);
  sockets.forEach((socket) => socket.close());
});

test("rooms, broadcasts, and all but the sender", async () => {
  const [a, b, c] = await Promise.all([connected(), connected(), connected()]);
  await Promise.all([a.ask("join", "a room"), b.ask("join", "a room")]);
  a.emit("to", "a room", "in the room", Buffer.from("x"));
  assert.deepEqual(await b.until("in the room"), [Buffer.from("x")]);
  a.emit("broadcast", "to the others", 1);
  for (const socket of [b, c]) assert.deepEqual(await socket.until("to the others"), [1]);
  a.emit("everyone", "to all", 2);
  for (const socket of [a, b, c]) assert.deepEqual(await socket.until("to all"), [2]);
  [a, b, c].forEach((socket) => socket.close());
});

test("messages, volatile events and catch-all listeners", async () => {
  const socket = await connected();
  socket.send("hello", 1);
  assert.deepEqual(await socket.next(), ["message", "hello", 1]);
  assert.deepEqual(await socket.ask("said"), [[["hello", 1]]]);
  socket.emit("volatile", "came", 1);
  assert.deepEqual(await socket.next(), ["came", 1]);
  socket.emit("heard by all listeners", 1);
  assert.deepEqual(await socket.next(), ["heard", "heard by all listeners", 1]);
  socket.close();
});

test("auth and query", async () => {
  const socket = await connected("/", { auth: { token: "right" }, query: { colour: "red & blue" } });
  assert.deepEqual(await socket.ask("auth"), [{ token: "right" }]);
  assert.deepEqual(await socket.ask("query", "colour"), ["red & blue"]);
  assert.deepEqual(await socket.ask("transport"), [options.transports[0]]);
  socket.close();
});

test("namespaces share a connection and do not hear each other", async () => {
  const main = await connected("/", { forceNew: false });
  const news = io(`${url}/news`, { ...options, forceNew: false });
  await once(news, "connect");
  assert.equal(news.io, main.io);
  assert.notEqual(news.id, main.id);
  news.emit("echo", 1);
  assert.deepEqual(await once(news, "echo"), ["news", 1]);
  main.emit("echo", 2);
  assert.deepEqual(await main.until("echo"), [2]);
  news.close();
  main.emit("echo", 3);
  assert.deepEqual(await main.until("echo"), [3]);
  main.close();
});

test("namespaces by pattern and by function", async () => {
  const room = open("/room-12");
  assert.deepEqual(await room.next(), ["welcome", "/room-12"]);
  const members = open("/members", { auth: { token: "right" } });
  assert.deepEqual(await members.next(), ["welcome", "/members"]);
  for (const [name, auth] of [["/room-x", {}], ["/members", { token: "other" }], ["/nowhere", {}]]) {
    const refused = open(name, { auth });
    assert.equal((await told(refused, "connect_error")).message, "Invalid namespace");
    refused.close();
  }
  [room, members].forEach((socket) => socket.close());
});

test("who is refused is told why, and may try again", async () => {
  const socket = open("/", { auth: { token: "wrong" } });
  const error = await told(socket, "connect_error");
  assert.equal(error.message, "not authorized");
  assert.deepEqual(error.data, { code: "E1" });
  socket.auth.token = "right";
  socket.connect();
  await once(socket, "connect");
  socket.close();
});

test("the server ends a socket, or its connection", async () => {
  for (const close of [false, true]) {
    const socket = await connected();
    socket.emit("disconnect me", close);
    assert.equal(await told(socket, "disconnect"), "io server disconnect");
    socket.close();
  }
});

test("what is said last arrives, also when the connection is ended on its way to a WebSocket", async () => {
  const watching = await connected();
  const socket = open("/", { query: { name: "to be ended" } });
  const ended = told(socket, "disconnect");
  const end = async () => {
    for (let tries = 0; !(await watching.ask("say and end", "to be ended"))[0]; tries++) assert.ok(tries < 1000);
  };
  if (TRANSPORTS === "polling,websocket") {
    const { engine } = socket.io;
    engine.once("upgrading", () => {
      // The probe has been answered; once its polls rest, the client goes on with the WebSocket.
      const { transport } = engine;
      const { pause } = transport;
      transport.pause = (paused) => pause.call(transport, () => end().then(paused));
    });
  } else {
    await once(socket, "connect");
    await end();
  }
  for (let number = 0; number < 3; number++) assert.deepEqual(await socket.next(), ["last", number]);
  assert.equal(await ended, "io server disconnect");
  watching.close();
});

test("the server knows who has gone, and why", async () => {
  const [watching, leaving] = await Promise.all([connected(), connected()]);
  const { id } = leaving;
  leaving.disconnect();
  for (;;) {
    const [gone, reason] = await watching.until("gone");
    if (gone === id) {
      assert.equal(reason, "client namespace disconnect");
      break;
    }
  }
  watching.close();
});

test("a client reconnects by itself", async () => {
  const socket = await connected("/", { reconnection: true, reconnectionDelay: 10 });
  const { id } = socket;
  socket.io.engine.close();
  await once(socket, "connect");
  assert.notEqual(socket.id, id);
  assert.deepEqual(await socket.ask("add later", 1, 2), [3]);
  socket.close();
});

test("promises of the client", { skip: !is4 }, async () => {
  const socket = await connected();
  assert.equal(await socket.emitWithAck("add later", 3, 4), 7);
  assert.equal(await socket.timeout(1000).emitWithAck("add", 3, 4), 7);
  await assert.rejects(socket.timeout(50).emitWithAck("nobody listens"), /timed out/);
  socket.close();
});

test("a client that loses its connection misses nothing", { skip: !is4 }, async () => {
  const more = { path: `${below}/recovering/`, reconnection: true, reconnectionDelay: 5, randomizationFactor: 0 };
  const socket = io(url, { ...options, ...more });
  const numbers = [];
  const ofRoom = [];
  const states = [];
  socket.on("number", (number) => numbers.push(number));
  socket.on("number of the room", (number) => ofRoom.push(number));
  socket.on("state", (...state) => states.push(state.slice(0, 3)));
  await once(socket, "connect");
  const { id } = socket;
  socket.emit("join", "room");
  while (ofRoom.length < 5) await once(socket, "number of the room");
  for (let round = 0; round < 5; round++) {
    // Cut from here, cut from there, and a connection that nobody has closed while the client comes back on another.
    if (round % 2) socket.emit("cut me off");
    else socket.io.engine.close();
    await once(socket, "connect");
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await once(socket, "number");
  }
  socket.close();
  for (const list of [numbers, ofRoom]) {
    assert.deepEqual(list, Array.from(list, (_, index) => list[0] + index));
    assert.ok(list.length > 10);
  }
  assert.deepEqual(states.at(-1), [true, 6, ["room"]]);
});

test("who is not allowed by its request is refused", { skip: packs }, async () => {
  const refused = open("/", { path: "/guarded/", extraHeaders: { "x-key": "wrong" } });
  // The answer can be read only as long as the event is told.
  const [error, answer] = await new Promise((told) => {
    refused.once("connect_error", (error) => told([error, error.context?.responseText]));
  });
  if (is4 && options.transports[0] === "polling") {
    assert.equal(error.context.status, 403);
    assert.deepEqual(JSON.parse(answer), { code: 4, message: "wrong key" });
  } else {
    assert.match(error.message, /xhr poll error|websocket error/);
  }
  refused.close();
  const socket = await connected("/", { path: "/guarded/", extraHeaders: { "x-key": "right" } });
  socket.emit("echo", 1);
  assert.deepEqual(await socket.next(), ["echo", 1]);
  socket.close();
});

test("values beyond JSON", { skip: !packs }, async () => {
  const socket = await connected();
  const moment = new Date(Date.UTC(2024, 1, 29, 23, 59, 59, 999));
  const long = new Uint8Array(70_000).fill(7);
  assert.deepEqual(
    await socket.ask("kinds", undefined, NaN, -Infinity, 1, 1.5, "a", moment, [undefined], { at: moment, not: undefined }),
    [
      ["NoneType None", "float nan", "float -inf", "int 1", "float 1.5", "str a"].concat(
        "datetime 2024-02-29 23:59:59.999000+00:00",
        [["NoneType None"]],
        { at: "datetime 2024-02-29 23:59:59.999000+00:00", not: "NoneType None" },
      ),
    ],
  );
  // Whatever has bytes: what Node calls a Buffer, and what it does not.
  const bytes = [new ArrayBuffer(2), new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), new Uint16Array([258]), Buffer.from("b")];
  assert.deepEqual(await socket.ask("kinds", ...bytes, { deep: [new Uint8Array(1)] }, new Uint8Array(0)), [
    [
      "bytes b'\\x00\\x00'",
      "bytes b'\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08'",
      "bytes b'\\x02\\x01'",
      "bytes b'b'",
      { deep: ["bytes b'\\x00'"] },
      "bytes b''",
    ],
  ]);
  socket.emit("echo", [moment, { not: undefined }], NaN, -Infinity, long, long.buffer);
  const [name, ...came] = await socket.next();
  assert.equal(name, "echo");
  assert.deepEqual(came, [[moment, { not: null }], NaN, -Infinity, Buffer.from(long), Buffer.from(long)]);
  for (const year of [1, 1969, 2024, 9999]) {
    const [told] = await socket.ask("moment", year);
    assert.ok(told instanceof Date);
    assert.equal(told.toISOString(), `${String(year).padStart(4, "0")}-02-03T04:05:06.789Z`);
  }
  assert.deepEqual(await socket.ask("add", 4294967296, -4294967297), [-1, { of: [4294967296, -4294967297] }]);
  socket.close();
});
