// Echo and broadcast on ws for Node, with bufferutil, without compression.
//
//     node ws_server.mjs PORT --mode echo|broadcast|block

import { createRequire } from "node:module";
import { BACKLOG, MAX_MESSAGE_BYTES, MODE, PORT, block } from "./arguments.mjs";

// What is installed for this program lies in the folder that it is started in.
const { WebSocket, WebSocketServer } = createRequire(`${process.cwd()}/`)("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: PORT,
  backlog: BACKLOG,
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: false,
});

const handlers = {
  echo: (ws, data, binary) => ws.send(data, { binary }),
  broadcast: (ws, data, binary) => {
    for (const member of server.clients) {
      if (member.readyState === WebSocket.OPEN) member.send(data, { binary });
    }
  },
  block: (ws, data, binary) => {
    block(data);
    ws.send(data, { binary });
  },
};

server.on("connection", (ws) => {
  ws.on("error", () => {});
  ws.on("message", (data, binary) => handlers[MODE](ws, data, binary));
});
