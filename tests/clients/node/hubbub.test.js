// hubbub.js, as the server serves it, in Node. PORT says where ../comet_server.py is.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Proxy } from "./proxy.js";

const port = process.env.PORT;
const source = await (await fetch(`http://127.0.0.1:${port}/hubbub.js`)).text();
const { connect, Socket } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

// Node has no EventSource unless it is asked for one.
const ways = ["websocket", "eventsource", "polling"].filter((way) => way !== "eventsource" || globalThis.EventSource);
const SHORT = { backoffBase: 20, backoffCap: 100 };

const sockets = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

/** A socket whose events can be awaited one by one, none lost. */
function dial(options = {}, { at = port, path = "/push" } = {}) {
  const socket = connect(`http://127.0.0.1:${at}${path}`, { ...SHORT, ...options });
  sockets.push(socket);
  const heard = { open: [], message: [], close: [], reconnecting: [] };
  const waiting = { open: [], message: [], close: [], reconnecting: [] };
  for (const type of Object.keys(heard)) {
    socket.addEventListener(type, (event) => {
      waiting[type].length ? waiting[type].shift()(event) : heard[type].push(event);
    });
  }
  socket.next = (type) =>
    heard[type].length ? Promise.resolve(heard[type].shift()) : new Promise((told) => waiting[type].push(told));
  socket.message = async () => (await socket.next("message")).data;
  socket.ask = (text) => {
    socket.send(text);
    return socket.message();
  };
  socket.ended = async (code, reason) => {
    socket.close(code, reason);
    for (;;) {
      const event = await socket.next("close");
      if (event.terminal) return event;
    }
  };
  socket.over = async () => {
    while (!(await socket.next("close")).terminal);
  };
  return socket;
}

async function through(options, use) {
  const proxy = await Proxy.to(port);
  const socket = dial(options, { at: proxy.port });
  try {
    await use(socket, proxy);
  } finally {
    proxy.frozen = false;
    socket.close();
    proxy.close();
  }
}

/** Cuts the connection that carries the socket. A client does not notice what is cut between two polls. */
async function cut(socket, proxy) {
  if (socket.transport === "polling") await proxy.asked();
  proxy.cut();
}

for (const way of ways) {
  const transports = [way];

  test(`${way}: messages come back as they were`, async () => {
    const socket = dial({ transports });
    const opened = await socket.next("open");
    assert.deepEqual([opened.transport, opened.recovered, opened.sid], [way, false, socket.sid]);
    const texts = ["hello", "", "grüße, 世界 🎉", "a\nb\r\nc\rd", "a\x1eb", "\ufeffbom", "\0", "x".repeat(100_000), "</script>"];
    for (const text of texts) assert.equal(await socket.ask(text), text);
    for (const bytes of [[], [0, 255, 128], new Array(70_000).fill(7)]) {
      const data = await socket.ask(new Uint8Array(bytes));
      assert.ok(data instanceof ArrayBuffer);
      assert.deepEqual(new Uint8Array(data), new Uint8Array(bytes));
    }
    await socket.ended();
  });

  test(`${way}: many messages come back in order`, async () => {
    const socket = dial({ transports });
    for (let number = 0; number < 900; number++) socket.send(String(number));
    for (let number = 0; number < 900; number++) assert.equal(await socket.message(), String(number));
    assert.deepEqual([socket.queued, socket.bufferedAmount], [0, 0]);
    await socket.ended();
  });

  test(`${way}: a session is in the rooms that it has asked for`, async () => {
    const socket = dial({ transports, rooms: ["red & blue", "green"] });
    assert.deepEqual(JSON.parse(await socket.ask("!rooms")), ["green", "red & blue"]);
    assert.equal(await socket.ask("!say green hello"), "hello");
    // The type is for plain event streams.
    assert.equal(await socket.ask("!shout green louder"), "louder");
    await socket.ended();
  });

  test(`${way}: a stream that is cut again and again comes whole, in order, once`, async () => {
    await through({ transports }, async (socket, proxy) => {
      const { sid } = await socket.next("open");
      socket.send("!count 300");
      for (let number = 0; number < 300; number++) {
        assert.equal(await socket.message(), String(number));
        if (number % 60 === 30) {
          await cut(socket, proxy);
          const { terminal } = await socket.next("close");
          assert.equal(terminal, false);
          const again = await socket.next("open");
          assert.deepEqual([again.recovered, again.sid, again.transport], [true, sid, way]);
        }
      }
    });
  });

  test(`${way}: a session that the server has forgotten is another one`, async () => {
    await through({ transports }, async (socket, proxy) => {
      const { sid } = await socket.next("open");
      const id = await socket.ask("!id");
      proxy.refuses = true;
      proxy.cut();
      await socket.next("close");
      const watcher = dial();
      assert.equal(JSON.parse(await watcher.ask(`!ended ${id}`))[0], 1006);
      await watcher.ended();
      proxy.refuses = false;
      const again = await socket.next("open");
      assert.equal(again.recovered, false);
      assert.notEqual(again.sid, sid);
      assert.equal(await socket.ask("two"), "two");
    });
  });

  test(`${way}: whoever was sent away while the connection was lost hears of it`, async () => {
    await through({ transports }, async (socket, proxy) => {
      const id = await socket.ask("!id");
      proxy.refuses = true;
      proxy.cut();
      await socket.next("close");
      const watcher = dial();
      assert.equal(await watcher.ask(`!kick ${id} 4001 go away`), "kicked");
      proxy.refuses = false;
      const closed = await socket.next("close");
      assert.deepEqual([closed.code, closed.reason, closed.terminal], [4001, "go away", true]);
    });
  });

  test(`${way}: silence is noticed`, async () => {
    await through({ transports }, async (socket, proxy) => {
      await socket.next("open");
      await socket.ask("one");
      proxy.frozen = true;
      const { code, reason } = await socket.next("close");
      assert.deepEqual([code, reason], [1006, "nothing was heard"]);
      proxy.frozen = false;
      const { recovered } = await socket.next("open");
      assert.equal(recovered, true);
      assert.equal(await socket.ask("two"), "two");
    });
  });

  test(`${way}: what is sent without a connection is sent with the next`, async () => {
    await through({ transports }, async (socket, proxy) => {
      await socket.next("open");
      proxy.refuses = true;
      proxy.cut();
      await socket.next("close");
      for (const text of ["one", "two", "three"]) socket.send(text);
      socket.send(new Uint8Array([1, 2, 3]).subarray(1));
      assert.deepEqual([socket.queued, socket.bufferedAmount], [4, 13]);
      proxy.refuses = false;
      for (const text of ["one", "two", "three"]) assert.equal(await socket.message(), text);
      assert.deepEqual([...new Uint8Array(await socket.message())], [2, 3]);
      assert.deepEqual([socket.queued, socket.bufferedAmount], [0, 0]);
    });
  });

  for (const [code, reason] of [[1000, ""], [3000, "größer"], [4999, "x".repeat(123)]]) {
    test(`${way}: close ${code} is told to both sides`, async () => {
      const [socket, watcher] = [dial({ transports }), dial()];
      const id = await socket.ask("!id");
      for (let number = 0; number < 20; number++) socket.send("last words");
      const closed = await socket.ended(code, reason);
      assert.deepEqual([closed.code, closed.reason, closed.terminal], [code, reason, true]);
      assert.equal(socket.readyState, Socket.CLOSED);
      assert.deepEqual(JSON.parse(await watcher.ask(`!ended ${id}`)), [code, reason, 20]);
      await watcher.ended();
    });
  }

  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 3000, 4000, 4999]) {
    test(`${way}: the server's ${code} is the end`, async () => {
      const socket = dial({ transports });
      await socket.next("open");
      socket.send(`!close ${code} that is that`);
      const closed = await socket.next("close");
      assert.deepEqual([closed.code, closed.reason, closed.terminal], [code, "that is that", true]);
      assert.throws(() => socket.send("more"), { name: "InvalidStateError" });
      assert.deepEqual([socket.readyState, socket.transport], [Socket.CLOSED, null]);
    });
  }

  for (const code of [1001, 1011, 1012, 1013, 1014]) {
    test(`${way}: after the server's ${code} it comes again, to a new session`, async () => {
      const socket = dial({ transports });
      const { sid } = await socket.next("open");
      socket.send(`!close ${code} soon again`);
      const closed = await socket.next("close");
      assert.deepEqual([closed.code, closed.reason, closed.terminal], [code, "soon again", false]);
      const again = await socket.next("open");
      assert.deepEqual([again.recovered, again.sid === sid], [false, false]);
      await socket.ended();
    });
  }
}

test("where there is no WebSocket, the next transport is taken", async () => {
  const { WebSocket } = globalThis;
  delete globalThis.WebSocket;
  try {
    const socket = dial();
    assert.equal((await socket.next("open")).transport, ways[1]);
    assert.equal(await socket.ask("hello"), "hello");
    await socket.ended();
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});

test("where the server takes no WebSockets, the next transport is taken", async () => {
  const socket = dial({}, { path: "/polls" });
  assert.equal((await socket.next("open")).transport, "polling");
  assert.equal(await socket.ask("hello"), "hello");
  await socket.ended();
});

test("a handshake without an answer is given up, and what worked is taken next time", async () => {
  await through({ openTimeout: 200 }, async (socket, proxy) => {
    proxy.swallows = /upgrade: websocket/i;
    const first = await socket.next("open");
    assert.equal(first.transport, ways[1]);
    proxy.swallows = /^$/;
    await cut(socket, proxy);
    const again = await socket.next("open");
    assert.deepEqual([again.transport, again.recovered, again.sid], [ways[1], true, first.sid]);
  });
});

test("a session goes on over another transport when its own fails", async () => {
  await through({ openTimeout: 200 }, async (socket, proxy) => {
    const first = await socket.next("open");
    assert.equal(first.transport, "websocket");
    socket.send("!count 100");
    for (let number = 0; number < 50; number++) assert.equal(await socket.message(), String(number));
    proxy.swallows = /upgrade: websocket/i;
    proxy.cut();
    const again = await socket.next("open");
    assert.deepEqual([again.transport, again.recovered, again.sid], [ways[1], true, first.sid]);
    for (let number = 50; number < 100; number++) assert.equal(await socket.message(), String(number));
    // The best that has worked is tried first the next time.
    proxy.swallows = /^$/;
    await cut(socket, proxy);
    assert.equal((await socket.next("open")).transport, "websocket");
  });
});

test("whoever may not come does not come again", async () => {
  const socket = dial({}, { path: "/closed" });
  const closed = await socket.next("close");
  assert.deepEqual([closed.code, closed.reason, closed.terminal], [1008, "HTTP 403", true]);
});

test("the waits grow up to the cap, each of them of random length", async () => {
  const proxy = await Proxy.to(port);
  proxy.refuses = true;
  const socket = dial({ transports: ["polling"], backoffBase: 4, backoffCap: 30 }, { at: proxy.port });
  const delays = [];
  for (let attempt = 1; attempt <= 40; attempt++) {
    const event = await socket.next("reconnecting");
    assert.equal(event.attempt, attempt);
    assert.ok(event.delay >= 0 && event.delay < Math.min(30, 4 * 2 ** (attempt - 1)), `${event.delay} at ${attempt}`);
    delays.push(event.delay);
  }
  assert.ok(Math.max(...delays.slice(3)) > 15 && Math.min(...delays.slice(3)) < 15, delays.join());
  assert.equal(new Set(delays).size, 40);
  socket.close();
  proxy.close();
});

test("what cannot wait is refused, and the rest is sent", async () => {
  const proxy = await Proxy.to(port);
  proxy.refuses = true;
  const socket = dial({ maxQueued: 3, maxQueuedBytes: 20 }, { at: proxy.port });
  const full = { name: "QuotaExceededError" };
  assert.throws(() => socket.send("x".repeat(21)), full);
  for (const text of ["one", "two", "three"]) socket.send(text);
  assert.throws(() => socket.send("four"), full);
  proxy.refuses = false;
  for (const text of ["one", "two", "three"]) assert.equal(await socket.message(), text);
  assert.equal(await socket.ask("five"), "five");
  await socket.ended();
  proxy.close();
});

test("what nobody could send says so", async () => {
  const socket = dial();
  for (const wrong of [5, null, undefined, {}, [1]]) assert.throws(() => socket.send(wrong), TypeError);
  for (const code of [999, 1001, 1006, 2999, 5000, "x"]) assert.throws(() => socket.close(code), RangeError);
  assert.throws(() => socket.close(1000, "ü".repeat(62)), RangeError);
  assert.throws(() => connect(`http://127.0.0.1:${port}/push`, { transports: ["pigeon"] }), TypeError);
  assert.throws(() => connect("/push"), TypeError); // relative to what?
  await socket.next("open");
  assert.throws(() => socket.send(new Uint8Array((1 << 20) + 1)), RangeError);
  assert.equal(await socket.ask("still here"), "still here");
  await socket.ended();
});

test("a message may be as long as the server says", async () => {
  for (const transports of ways.map((way) => [way])) {
    const socket = dial({ transports, maxQueuedBytes: 4 << 20 });
    await socket.next("open");
    const [text, bytes] = ["x".repeat(1 << 20), new Uint8Array(1 << 20)];
    assert.equal((await socket.ask(text)).length, 1 << 20, transports[0]);
    assert.equal((await socket.ask(bytes)).byteLength, 1 << 20, transports[0]);
    await socket.ended();
  }
});

test("a socket that is closed before it has opened is closed", async () => {
  const proxy = await Proxy.to(port);
  const waits = {
    "at once": async () => {},
    "while it waits for an answer": async () => (proxy.swallows = /./),
    "between two attempts": async (socket) => {
      proxy.refuses = true;
      await socket.next("reconnecting");
    },
  };
  for (const [when, wait] of Object.entries(waits)) {
    const socket = dial({ backoffBase: 60_000 }, { at: proxy.port });
    await wait(socket);
    socket.send("never sent");
    const closed = await socket.ended(4000, "changed my mind");
    assert.deepEqual([closed.code, closed.terminal], [4000, true], when);
    assert.deepEqual([socket.readyState, socket.queued], [Socket.CLOSED, 1], when);
    socket.close();
  }
  proxy.close();
});

test("the connections that a session has left end with it", async () => {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  try {
    const [socket, watcher] = [dial({ transports: ["websocket"], backoffBase: 60_000 }), dial()];
    const id = await socket.ask("!id");
    page.dispatchEvent(new Event("offline"));
    assert.equal((await socket.next("close")).terminal, false);
    await socket.ended();
    // By its Close frame. Otherwise the server would have noticed the silence later: 1006.
    assert.equal(JSON.parse(await watcher.ask(`!ended ${id}`))[0], 1005);
    await watcher.ended();
  } finally {
    delete globalThis.addEventListener;
  }
});

test("handlers are called beside listeners, and can be taken away", async () => {
  const heard = [];
  const socket = dial();
  socket.onmessage = ({ data }) => heard.push(data);
  socket.onopen = function (event) {
    heard.push(this === socket, event.type);
  };
  assert.equal(await socket.ask("one"), "one");
  socket.onmessage = null;
  assert.equal(await socket.ask("two"), "two");
  assert.deepEqual(heard, [true, "open", "one"]);
  await socket.ended();
});

test("the query of the address is kept", async () => {
  const socket = dial({ rooms: ["a"] }, { path: "/push?room=own&token=a%26b" });
  assert.deepEqual(JSON.parse(await socket.ask("!query")).token, "a&b");
  assert.deepEqual(JSON.parse(await socket.ask("!rooms")), ["a", "own"]);
  await socket.ended();
});
