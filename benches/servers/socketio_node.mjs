// Socket.IO on Node, with the WebSockets that it has by default (ws), without compression as it is by default.
//
//     node socketio_node.mjs PORT [--mode echo|broadcast]

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { BACKLOG, PORT } from "./arguments.mjs";

// What is installed for this program lies in the folder that it is started in.
const { Server } = createRequire(`${process.cwd()}/`)("socket.io");

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.join("all");
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("broadcast", (text) => io.to("all").emit("broadcast", text));
});

http.listen({ host: "127.0.0.1", port: PORT, backlog: BACKLOG });
