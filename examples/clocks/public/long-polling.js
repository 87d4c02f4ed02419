// Asks again as soon as there was an answer. The server answers when
// it has something.

const ask = async (query) => {
  const answer = await fetch(`/clock?transport=polling${query}`);
  if (!answer.ok) throw new Error(answer.statusText);
  return (await answer.text()).split("\x1e");
};

export async function start(show) {
  const [open] = await ask("");
  const { sid } = JSON.parse(open.slice(1));
  let cursor = 0;
  for (;;) {
    for (const packet of await ask(`&sid=${sid}&cursor=${cursor}`)) {
      if (packet[0] !== "4") continue; // nothing has come for long
      cursor += 1;
      show(packet.slice(1));
    }
  }
}
