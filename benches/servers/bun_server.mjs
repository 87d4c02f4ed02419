// Echo and broadcast on Bun's own server, topics for broadcasts, without compression.
//
//     bun bun_server.mjs PORT --mode echo|broadcast|block

import { MAX_MESSAGE_BYTES, MODE, PORT, block } from "./arguments.mjs";

const handlers = {
  echo: (ws, message) => ws.send(message),
  broadcast: (ws, message) => server.publish("all", message),
  block: (ws, message) => {
    block(message);
    ws.send(message);
  },
};

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: PORT,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 400 })),
  websocket: {
    maxPayloadLength: MAX_MESSAGE_BYTES,
    backpressureLimit: 4 * MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    open: MODE === "broadcast" ? (ws) => ws.subscribe("all") : undefined,
    message: handlers[MODE],
  },
});
