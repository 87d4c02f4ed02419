// One answer that never ends. The browser reads its lines, and asks
// again by itself if it is cut off.

export function start(show) {
  const source = new EventSource("/clock");
  source.onmessage = ({ data }) => show(data);
}
