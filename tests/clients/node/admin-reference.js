// The server of socket.io with its own instrument(), for test_socketio_admin.py to compare with. Prints its port.
import { createServer } from "node:http";
import { instrument } from "@socket.io/admin-ui";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);
instrument(io, {
  auth: { type: "basic", username: "ada", password: process.env.PASSWORD_HASH },
  mode: process.env.MODE,
  readonly: process.env.READ_ONLY === "1",
  serverId: "here",
});

io.use((socket, next) => {
  socket.data.name = "grace";
  next();
});
io.on("connection", (socket) => {
  socket.join("lobby");
  socket.on("say", (text, answer) => {
    socket.emit("said", text);
    io.to("lobby").emit("heard", text);
    if (answer) answer("ok");
  });
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
