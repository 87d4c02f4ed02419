// Socket.IO on Node, with the WebSockets that it has by default (ws), without compression as it is by default.
//
//     node socketio_node.mjs PORT [--mode talk|idle]
//
// "idle": sockets are in no room but their own and have no handlers.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { BACKLOG, MODE, PORT } from "./arguments.mjs";

// What is installed for this program lies in the folder that it is started in.
const { Server } = createRequire(`${process.cwd()}/`)("socket.io");

const http = createServer();
const io = new Server(http);

if (MODE !== "idle") {
  io.on("connection", (socket) => {
    socket.join("all");
    socket.on("echo", (text) => socket.emit("echo", text));
    socket.on("broadcast", (text) => io.to("all").emit("broadcast", text));
  });
}

http.listen({ host: "127.0.0.1", port: PORT, backlog: BACKLOG });
