// Three clients on one page: who gets what one of them sends?

import { follow, log } from "./page.js";

for (const [name, isIn] of Object.entries({ Ada: true, Grace: true, Linus: false })) {
  const card = document.getElementById("client").content.cloneNode(true).firstElementChild;
  card.querySelector("h2").textContent = name;
  document.getElementById("clients").append(card);

  const socket = io({ path: "/broadcasts/", forceNew: true });
  follow(socket, card.querySelector(".state"));
  socket.on("message", (text) => log(card.querySelector(".log"), text));

  const garden = card.querySelector("[type=checkbox]");
  garden.checked = isIn;
  garden.onchange = () => socket.emit(garden.checked ? "enter" : "leave");
  socket.on("connect", () => garden.checked && socket.emit("enter"));

  for (const button of card.querySelectorAll(".ways button")) {
    button.onclick = () => socket.emit(button.value, `${name}, ${button.value}`);
  }
}
