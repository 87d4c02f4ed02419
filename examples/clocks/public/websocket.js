// A connection of its own, for messages in both directions.

export function start(show) {
  const url = new URL("/clock", location);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.onmessage = ({ data }) => show(data);
  socket.onclose = () => setTimeout(start, 1000, show);
}
