// What all pages share. What people wrote reaches the document as text only.

const KEPT_LINES = 100;

/** Adds a line to a list: a name for what it is, if it has one, and a text. */
export function log(list, text, name) {
  const line = document.createElement("li");
  if (name !== undefined) line.append(element("b", name), " ");
  line.append(element("span", text));
  list.append(line);
  while (list.childElementCount > KEPT_LINES) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

/** Shows a state of the connection: "open", "waiting" or "lost". */
export function show(place, state, text) {
  place.dataset.state = state;
  place.textContent = text;
}

/** Shows the state of a socket whenever it changes. */
export function follow(socket, place) {
  socket.on("connect", () => show(place, "open", "connected"));
  socket.on("disconnect", () => show(place, "lost", "disconnected"));
  socket.on("connect_error", (error) => show(place, "lost", error.message));
  socket.io.on("reconnect_attempt", () => show(place, "waiting", "reconnecting"));
}

/** Calls a function with the values of a form when it is sent, and empties its texts. */
export function submitted(form, call) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const inputs = [...form.querySelectorAll("input")];
    call(...inputs.map((input) => input.value));
    for (const input of inputs) if (input.type === "text") input.value = "";
  });
}

export function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** <shown-code src="/file.py">Title</shown-code> shows a file of the server. */
class ShownCode extends HTMLElement {
  async connectedCallback() {
    const title = element("h2", this.textContent);
    const name = element("small", this.getAttribute("src").split("/").at(-1));
    const code = element("code", "");
    const pre = element("pre", "");
    pre.tabIndex = 0;
    pre.append(code);
    title.append(" ", name);
    this.replaceChildren(title, pre);
    const file = await fetch(this.getAttribute("src"));
    code.textContent = file.ok ? await file.text() : `${file.status} ${file.statusText}`;
  }
}

customElements.define("shown-code", ShownCode);

if (typeof io === "undefined") {
  document.querySelector("main").prepend(element("p", "The client is not part of this build of hubbub."));
}
