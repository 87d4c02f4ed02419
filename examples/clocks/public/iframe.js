// A page that never ends, in a hidden frame. Each message is a script
// in it that calls window.hubbub.

export function start(show) {
  window.hubbub = show;
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "The stream of the clock";
  const open = () => (frame.src = "/clock?transport=iframe");
  frame.onload = () => setTimeout(open, 1000); // it has ended after all
  open();
  document.body.append(frame);
}
