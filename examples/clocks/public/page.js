// What all pages share: <clock-panel carrier="polling"> shows what polling.js gets. What people wrote reaches the
// document as text only.

const KEPT_LINES = 50;

/** When each time was first seen here, by any panel: the others are compared with that. */
const firstSeen = new Map();

class ClockPanel extends HTMLElement {
  async connectedCallback() {
    const name = this.getAttribute("carrier");
    this.append(...this.#parts(name));
    // A page waits for its frames: not before it has loaded.
    if (document.readyState !== "complete") {
      await new Promise((loaded) => addEventListener("load", loaded, { once: true }));
    }
    const { start } = await import(`./${name}.js`);
    this.#keepGoing(start);
    const code = await fetch(`./${name}.js`);
    this.code.textContent = await code.text();
  }

  /** What ends is begun again a second later. */
  async #keepGoing(start) {
    for (;;) {
      try {
        await start((text) => this.#show(JSON.parse(text)), (note) => (this.note.textContent = note));
        return;
      } catch {
        await new Promise((done) => setTimeout(done, 1000));
      }
    }
  }

  #show({ time, line }) {
    if (time !== undefined) this.#tick(time);
    else this.#said(line);
  }

  #tick(time) {
    const now = performance.now();
    if (!firstSeen.has(time)) firstSeen.set(time, now);
    if (firstSeen.size > 100) firstSeen.delete(firstSeen.keys().next().value);
    this.dataset.state = "live";
    this.time.textContent = time;
    const [hours, minutes, seconds] = time.split(":").map(Number);
    const turns = { hours: (hours + minutes / 60) / 12, minutes: (minutes + seconds / 60) / 60, seconds: seconds / 60 };
    for (const [hand, turn] of Object.entries(turns)) this.style.setProperty(`--${hand}`, `${turn}turn`);
    this.#late(now - firstSeen.get(time));
  }

  #late(milliseconds) {
    if (document.querySelectorAll("clock-panel").length === 1) return;
    this.style.setProperty("--late", Math.min(milliseconds / 1000, 1));
    this.late.textContent = milliseconds < 1 ? "first" : `${Math.round(milliseconds)} ms later`;
  }

  #said(line) {
    this.lines.append(element("li", {}, line));
    while (this.lines.childElementCount > KEPT_LINES) this.lines.firstElementChild.remove();
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  #parts(name) {
    const title = this.getAttribute("label");
    const heading = element("h2");
    heading.append(element("a", { href: `${name}.html` }, title));
    const face = element("div", { class: "face", "aria-hidden": "true" });
    face.append(...["hours", "minutes", "seconds"].map((hand) => element("i", { class: hand })));
    this.time = element("time", {}, "--:--:--");
    this.late = element("p", { class: "late" });
    this.note = element("p", { class: "note" });
    const clock = element("div", { class: "clock" });
    clock.append(face, this.time, this.late);
    this.lines = element("ol", { "aria-label": `What was said, by ${title}`, tabindex: "0" });
    this.code = element("code");
    const pre = element("pre", { tabindex: "0", "aria-label": `${name}.js` });
    pre.append(this.code);
    const details = element("details");
    details.append(element("summary", {}, "Its code"), pre);
    if (!this.closest(".panels")) details.open = true;
    const head = element("header");
    head.append(heading, this.note);
    return [head, clock, this.lines, details];
  }
}

function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.textContent = text;
  return made;
}

customElements.define("clock-panel", ClockPanel);

document.querySelector("#say")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { line, refused } = event.target.elements;
  const { say } = await import("./ladder.js");
  try {
    say(line.value);
    line.value = refused.value = "";
  } catch (error) {
    refused.value = `Not sent: ${error.message}.`;
  }
});
