// Node's `ws` as a client. PORT says where the server is.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";

const url = `ws://127.0.0.1:${process.env.PORT}/`;

/** An open connection whose messages can be awaited one by one, none lost. */
async function connect(options = {}, protocols = [], path = "") {
  const ws = new WebSocket(url + path, protocols, options);
  const heard = [];
  const waiting = [];
  ws.on("message", (data, binary) => {
    const message = binary ? data : data.toString();
    waiting.length ? waiting.shift()(message) : heard.push(message);
  });
  ws.next = () => (heard.length ? Promise.resolve(heard.shift()) : new Promise((told) => waiting.push(told)));
  ws.ask = (text) => {
    ws.send(text);
    return ws.next();
  };
  await once(ws, "open");
  return ws;
}

async function close(...sockets) {
  for (const ws of sockets) {
    ws.close();
    await once(ws, "close");
  }
}

for (const perMessageDeflate of [false, true]) {
  test(`messages come back as they were, compression ${perMessageDeflate ? "offered" : "off"}`, async () => {
    const ws = await connect({ perMessageDeflate });
    assert.equal(ws.extensions, "");
    for (const text of ["", "hello", "grüße, 世界 🎉", "x".repeat(126)]) {
      assert.equal(await ws.ask(text), text);
    }
    for (const size of [0, 125, 126, 65535, 65536, 1 << 20, 16 << 20]) {
      const data = Buffer.alloc(size, 7);
      assert.ok(data.equals(await ws.ask(data)), `${size} bytes`);
    }
    await close(ws);
  });
}

test("fragments come back as one message", async () => {
  const ws = await connect();
  ws.send("one ", { fin: false });
  ws.ping();
  ws.send("two ", { fin: false });
  ws.send("three", { fin: true });
  assert.equal(await ws.next(), "one two three");
  await close(ws);
});

test("a thousand messages come back in order", async () => {
  const ws = await connect();
  for (let number = 0; number < 1000; number++) ws.send(String(number));
  for (let number = 0; number < 1000; number++) assert.equal(await ws.next(), String(number));
  await close(ws);
});

test("a room reaches its members but not the sender", async () => {
  const [anna, ben, cleo] = await Promise.all([connect(), connect(), connect()]);
  assert.equal(await anna.ask("!join node"), "joined node");
  assert.equal(await ben.ask("!join node"), "joined node");
  anna.send("!say node hello");
  assert.equal(await ben.next(), "hello");
  for (const ws of [anna, cleo]) assert.equal(await ws.ask("nothing before this"), "nothing before this");
  await close(anna, ben, cleo);
});

test("close codes travel both ways", async () => {
  const watcher = await connect();
  for (const [code, reason] of [[1000, ""], [1000, "done"], [3000, "größer"], [4999, "x".repeat(123)]]) {
    const ws = await connect();
    const session = await ws.ask("!id");
    ws.close(code, reason);
    const [answered] = await once(ws, "close");
    assert.equal(answered, code);
    assert.deepEqual(JSON.parse(await watcher.ask(`!ended ${session}`)), [code, reason]);
  }
  for (const [code, reason] of [[1000, "bye"], [1008, "no"], [4321, "größer"]]) {
    const ws = await connect();
    ws.send(`!close ${code} ${reason}`);
    const [told, text] = await once(ws, "close");
    assert.deepEqual([told, text.toString()], [code, reason]);
  }
  await close(watcher);
});

test("a client that is terminated is told to the server as 1006", async () => {
  const [watcher, ws] = await Promise.all([connect(), connect()]);
  const session = await ws.ask("!id");
  ws.terminate();
  assert.equal(JSON.parse(await watcher.ask(`!ended ${session}`))[0], 1006);
  await close(watcher);
});

test("a message beyond the limit closes with 1009", async () => {
  const ws = await connect({ perMessageDeflate: false });
  ws.on("error", () => {}); // the rest of the message may meet a closed connection
  ws.send(Buffer.alloc((32 << 20) + 1));
  const [code] = await once(ws, "close");
  assert.equal(code, 1009);
});

test("pings are answered in both directions", async () => {
  const ws = await connect();
  ws.ping("there?");
  const [payload] = await once(ws, "pong");
  assert.equal(payload.toString(), "there?");
  assert.equal(await ws.ask("!ping"), "pong");
  await close(ws);
});

test("the server's preferred subprotocol is agreed on", async () => {
  const ws = await connect({}, ["chat.v1", "chat.v2"]);
  assert.equal(ws.protocol, "chat.v2");
  await close(ws);
});

for (const mode of ["shared", "per-session"]) {
  test(`messages come back as they were, compressed, ${mode}`, async () => {
    for (const parameters of [
      {},
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
      { serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
    ]) {
      const ws = await connect({ perMessageDeflate: { threshold: 0, ...parameters } }, [], mode);
      assert.equal(ws.extensions, "permessage-deflate");
      for (const text of ["", "hello", "so it goes ".repeat(1000), "grüße, 世界 🎉".repeat(50), "x".repeat(300_000)]) {
        assert.equal(await ws.ask(text), text);
      }
      await close(ws);
    }
  });
}
