// Asks once a second. The answer is what has come since the last
// time, often nothing.

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
    for (const packet of await ask(`&sid=${sid}&cursor=${cursor}&wait=0`)) {
      if (packet[0] !== "4") continue; // nothing has come
      cursor += 1;
      show(packet.slice(1));
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}
