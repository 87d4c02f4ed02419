// Says what is typed, and shows everything that the socket hears.

import { log, show, submitted } from "./page.js";

const $ = (id) => document.getElementById(id);
const [state, heard, toggle] = [$("state"), $("heard"), $("toggle")];

const socket = io();

// What the server says.
socket.on("message", (text) => log(heard, text, "message"));

// What happens to the connection.
socket.on("connect", () => {
  show(state, "open", "connected");
  log(heard, `as ${socket.id}`, "connect");
  toggle.textContent = "Disconnect";
});
socket.on("disconnect", (reason) => {
  show(state, "lost", "disconnected");
  log(heard, reason, "disconnect");
  if (!socket.active) toggle.textContent = "Connect"; // else it comes back by itself
});
socket.on("connect_error", (error) => log(heard, error.message, "connect_error"));
socket.io.on("reconnect_attempt", (attempt) => {
  show(state, "waiting", "reconnecting");
  log(heard, `number ${attempt}`, "reconnect_attempt");
});
socket.io.on("reconnect", (attempt) => log(heard, `after ${attempt}`, "reconnect"));

// What the page can do.
submitted($("say"), (text) => socket.send(text));
toggle.onclick = () => (socket.active ? socket.disconnect() : socket.connect());
$("cut").onclick = () => socket.io.engine.close();
