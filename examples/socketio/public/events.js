// Events with names of their own, and acknowledgements both ways.

import { follow, log, submitted } from "./page.js";

const $ = (id) => document.getElementById(id);

const socket = io({ path: "/events/" });
follow(socket, $("state"));

// An event each way.
submitted($("shout"), (text) => socket.emit("shout", text));
socket.on("echo", (text, length) => log($("echoes"), `${text} (${length})`));

// The server acknowledges: the value comes with the promise, or in a function behind the arguments.
submitted($("add"), async (a, b) => {
  $("sum").value = await socket.timeout(5000).emitWithAck("add", Number(a), Number(b)).catch(String);
});

// The page acknowledges: it calls the function that comes behind the arguments.
$("ask").onclick = () => socket.emit("ask me");
let acknowledge;
socket.on("question", (question, ack) => {
  $("question").textContent = question;
  $("reply").hidden = false;
  $("name").focus();
  acknowledge = ack;
});
submitted($("reply"), (name) => acknowledge(name));
socket.on("answer", (text) => {
  $("told").value = text;
  $("reply").hidden = true;
});
