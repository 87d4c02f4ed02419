// What the reference's parsers read in packets: lines of [parser, messages] come in, the packets go out, as JSON. Bytes
// stand as {"$bytes": base64}, dates as {"$date": milliseconds}.
import { createInterface } from "node:readline";
import * as msgpack from "socket.io-msgpack-parser";
import * as json from "socket.io-parser";

function plain(value) {
  if (value instanceof Date) return { $date: value.getTime() };
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, messages] = JSON.parse(line);
  const decoder = new { json, msgpack }[name].Decoder();
  decoder.on("decoded", (packet) => console.log(JSON.stringify(plain(packet))));
  messages.forEach((each) => decoder.add(typeof each === "string" ? each : Buffer.from(each.$bytes, "base64")));
}
