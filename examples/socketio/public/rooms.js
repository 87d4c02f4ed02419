// A card for each room that there is, with those who are in it.

import { element, follow, log, submitted } from "./page.js";

const $ = (id) => document.getElementById(id);
const cards = new Map();
const mine = new Set(); // the rooms that I am in

const socket = io({ path: "/rooms/" });
follow(socket, $("state"));

socket.on("connect", () => {
  $("me").textContent = socket.id;
  for (const room of mine) enter(room); // again, after the connection was lost
});

async function enter(room) {
  $("refused").value = (await socket.emitWithAck("enter", room)) ?? "";
}

submitted($("enter"), enter);

// Which rooms there are, and who is in them.
socket.on("rooms", (rooms) => {
  for (const [room, card] of cards) {
    if (!Object.hasOwn(rooms, room)) {
      card.remove();
      cards.delete(room);
    }
  }
  for (const [room, ids] of Object.entries(rooms)) {
    if (!cards.has(room)) cards.set(room, newCard(room));
    const isIn = ids.includes(socket.id);
    isIn ? mine.add(room) : mine.delete(room);
    const card = cards.get(room);
    card.querySelector("header button").textContent = isIn ? "Leave" : "Enter";
    card.querySelector("form").hidden = !isIn;
    card.querySelector(".members").replaceChildren(...ids.map((id) => element("li", id === socket.id ? `${id} (you)` : id)));
  }
});

socket.on("said", (room, id, text) => {
  log(cards.get(room).querySelector(".log"), text, id === socket.id ? "you" : id.slice(0, 6));
});

function newCard(room) {
  const card = $("card").content.cloneNode(true).firstElementChild;
  card.querySelector("h2").textContent = room;
  card.querySelector("header button").onclick = () => (mine.has(room) ? socket.emit("leave", room) : enter(room));
  submitted(card.querySelector("form"), (text) => socket.emit("say", room, text));
  $("rooms").append(card);
  return card;
}
