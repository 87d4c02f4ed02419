// Two namespaces: two sockets, one connection.

import { follow, log, submitted } from "./page.js";

const main = io({ path: "/namespaces/" });
const news = io("/news", { path: "/namespaces/" });

for (const [id, socket] of Object.entries({ main, news })) {
  const card = document.getElementById(id);
  const button = card.querySelector("header button");

  socket.on("message", (text) => log(card.querySelector("ol"), text));
  submitted(card.querySelector("form"), (text) => socket.send(text));

  follow(socket, card.querySelector(".state"));
  socket.on("connect", () => (button.textContent = "Leave"));
  socket.on("disconnect", () => (button.textContent = "Enter"));
  button.onclick = () => (socket.connected ? socket.disconnect() : socket.connect());
}
