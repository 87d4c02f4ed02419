// A WebSocket if there is a way for it, else an event stream, else
// long polls. What was missed comes later.

import { connect } from "/hubbub.js";

const socket = connect("/clock");

export function start(show, note) {
  socket.onmessage = ({ data }) => show(data);
  socket.onopen = ({ transport }) => note(`by ${transport}`);
  socket.onreconnecting = ({ delay }) => note(`again in ${Math.ceil(delay)} ms`);
}

export const say = (line) => socket.send(line);
