// What the reference's own parsers make of a table of packets, as JSON. rust/proto/tests/all/socketio.rs and engineio.rs
// compare with it, test_client_socketio_parser.py looks whether it is still what the parsers say. To make it anew:
//
//     cd tests/clients/node && npm ci && node parser-transcripts.js > ../../../rust/proto/tests/all/data/socketio.json
//
// Bytes stand as {"$bytes": base64}, dates as {"$date": milliseconds}.
import { readFileSync } from "node:fs";
import { decodePayload, encodePayload } from "engine.io-parser";
import * as msgpack from "socket.io-msgpack-parser";
import { Decoder, Encoder } from "socket.io-parser";

const bytes = (...values) => Buffer.from(values);
const place = (num) => `{"_placeholder":true,"num":${num}}`;

const encoded = [
  { type: 0, nsp: "/" },
  { type: 0, nsp: "/admin" },
  { type: 0, nsp: "/", data: { sid: "wZX3oN0bSVIhsaknAAAI" } },
  { type: 0, nsp: "/admin?token=1234&uid=abcd", data: { token: "123" } },
  { type: 1, nsp: "/" },
  { type: 1, nsp: "/admin" },
  { type: 2, nsp: "/", data: ["foo"] },
  { type: 2, nsp: "/", data: [1, 2] },
  { type: 2, nsp: "/", data: ["", null, true, false, 0, -0.5, 1e21, 1e-7, [], {}] },
  { type: 2, nsp: "/admin", data: ["bar", { a: [1, { b: "c,d" }] }] },
  { type: 2, nsp: "/", id: 0, data: ["foo"] },
  { type: 2, nsp: "/admin", id: 9007199254740991, data: ["bar"] },
  { type: 2, nsp: "/", data: ["gr\u00fc\u00dfe \u4e16\u754c \u{1f600}", '"\\/\b\f\n\r\t\u0000\u001e\u007f\u2028'] },
  { type: 2, nsp: "/", data: ["a", { _placeholder: true, num: "no attachment here" }] },
  { type: 3, nsp: "/", id: 13, data: [] },
  { type: 3, nsp: "/admin", id: 13, data: ["bar", null] },
  { type: 4, nsp: "/", data: { message: "Not authorized" } },
  { type: 4, nsp: "/admin", data: "Not authorized" },
  { type: 4, nsp: "/admin", data: { message: "no", data: { code: "E001" } } },
  { type: 2, nsp: "/", data: ["baz", bytes(1, 2, 3, 4)] },
  { type: 2, nsp: "/", data: ["baz", bytes()] },
  { type: 2, nsp: "/admin", id: 15, data: ["bar", bytes(1), { a: [bytes(2, 3), "x"], b: bytes(4) }] },
  { type: 2, nsp: "/", data: ["ten", ...Array.from({ length: 10 }, (_, i) => bytes(i))] },
  { type: 3, nsp: "/", id: 1, data: [bytes(255, 254)] },
  { type: 3, nsp: "/admin", id: 15, data: [{ file: bytes(0) }] },
];

// For the MessagePack parser. There is no NaN, as JSON has none, and no 1e21: it writes whole numbers from 2**64 on wrongly.
const packed = [
  ...encoded.filter(({ data }) => !data?.includes?.(1e21)),
  { type: 0, nsp: "/", data: undefined, options: { compress: true } },
  { type: 0, nsp: "/a?b=1", data: { token: "x", at: new Date(1e12 + 1) } },
  { type: 2, nsp: "/", id: undefined, data: ["a", undefined, [undefined]], options: { volatile: true, compress: false } },
  { type: 2, nsp: "/", data: ["dates", new Date(0), new Date(-1), new Date(253402300799999)] },
  { type: 2, nsp: "/", data: ["whole", 0, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991] },
  { type: 2, nsp: "/", data: ["below", -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649] },
  { type: 2, nsp: "/", data: ["parts", 0.1, -2.5, 1e300, 5e-324] },
  { type: 2, nsp: "/", id: 4294967296, data: ["x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256)] },
  { type: 2, nsp: "/", data: ["many", Array(15).fill(1), Array(16).fill(2), Buffer.alloc(255), Buffer.alloc(256)] },
  { type: 2, nsp: "/", data: ["buffers", new ArrayBuffer(0), new Uint8Array([1, 2, 3]), { deep: [new Uint16Array([1])] }] },
  { type: 2, nsp: "/", id: 1, data: ["long buffers", new Uint8Array(255), new Uint8Array(256), new ArrayBuffer(65536)] },
  { type: 3, nsp: "/", id: 2, data: [new Uint8Array(8), new Uint8Array(1), new DataView(new ArrayBuffer(4))] },
  { type: 2, nsp: "/", data: ["map", Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, i]))] },
];

const texts = [
  "", "0", "1", "2", "3", "4", "5", "6", "7", "9", "-", "a", " 2", "\u0662[]", "b",
  "0{}", "0[]", '0""', "0null", "0false", "0true", "01", "0/", "0/,", "0/a", "0/a,", "0//", '0/a{"b":1}', '0/a,{"b":1}',
  "0/a,[1]", "0,", "0,{}", "0a,{}", "0{", "0}", "0{} ", "0{}{}", "0{}x", '0{"a":1,}', "0{a:1}", "0{'a':1}",
  "1{}", "1[]", "1null", "1/a", "1/a,", "1/a,{}", "1/a,5",
  "2[]", "2{}", '2"a"', "2null", "2[1]", "2[-1]", "2[1.5]", "2[1,2]", "2[null]", "2[true]", "2[[]]", "2[{}]", '2[["a"]]',
  '2["a"]', '2["a",]', '2[,"a"]', '2["a""b"]', '2["a"', '2["a"]]', '2["a"]x', '2[ "a" , 1 ]', '2["a"]\n', '2\n["a"]',
  '2["connect"]', '2["connect_error"]', '2["disconnect"]', '2["disconnecting"]', '2["newListener"]',
  '2["removeListener"]', '2["error"]', '2["connection"]', '2["new_namespace"]', '2["Connect"]', '2["connect "]',
  '2["\\u0063onnect"]', '2["dis\\u0063onnect",1]', '2["__proto__"]', '2["constructor"]', '2["__class__"]', '2["emit"]',
  '2["_x"]', '2[""]', '20["a"]', '2007["a"]', '212["a"]', '29007199254740991["a"]', '2-1["a"]', '2+1["a"]', '21.5["a"]',
  '21e3["a"]', '2/["a"]', '2/,["a"]', '2/a["a"]', '2/a,["a"]', '2/a,1["a"]', '2/a,1', '2/a,,["a"]', '2/a?b=c,["a"]',
  '2/gr\u00fc\u00dfe,["a"]', '21-["a"]', '2abc["a"]', "2abc", "abc", '2["a",NaN]', '2["a",Infinity]', '2["a",-Infinity]',
  '2["a",undefined]', '2["a",01]', '2["a",+1]', '2["a",.5]', '2["a",1.]', '2["a",1e]', '2["a",0x1]', '2["a",-]',
  '2["a",-0]', '2["a",1e5]', '2["a","\\x41"]', '2["a","\\ud83d\\ude00"]', '2["a","\t"]', '2["a","\u0000"]', '2["a","\\"]',
  '2["a","b]', '2["a",tru]', '2["a",nul]', "2['a']", '2["a"/**/]', '2["a",{"b":1,"b":2}]', '2["a",{"b"}]', '2["a",{"b":}]',
  '2["a",{1:2}]', '2["a",{"__proto__":1}]', '2\ufeff["a"]',
  "3[]", "31[]", '31["a"]', "31{}", "31", '31"a"', "31null", "3/a,1[]", '31["connect"]', "31[1,[2,{}]]",
  "4{}", '4"no"', "4[]", "41", "4null", '4/a,{"message":"no"}', '4/a,"no"', "4true", "4abc",
  '51-["a"]', '5-["a"]', '50-["a"]', '5["a"]', '511-["a"]', '510-["a"]', '5999999999-["a"]', '5a-["a"]', '51.5-["a"]',
  '5-1-["a"]', "51", "51-{}", "51-[]", '51-["connect"]', `51-[${place(0)}]`, `51-/a,7["a",${place(0)}]`, `51-/a,7["a"`,
  "6-[]", "60-[]", "61-{}", `61-1[${place(0)}]`, `62-/a,1[${place(0)},${place(1)}]`,
];

// Each with one attachment, bytes(9).
const placeholders = [
  place(0), place(1), place(10), place(-1), place('"splice"'), place("true"), place("1.0"), place("0.0"), place("-0"),
  place("0e0"), place("null"), place("[]"), place("{}"), place('"0"'), place('"__proto__"'), place("18446744073709551616"),
  '{"_placeholder":true}', '{"num":0,"_placeholder":true}', '{"_placeholder":true,"num":0,"a":1}',
  '{"_placeholder":true,"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1,"num":0}', '{"_placeholder":false,"num":0}',
  '{"_placeholder":1,"num":0}', '{"_placeholder":"true","num":0}', '{"_placeholder":{},"num":9}', '{"num":7}',
  '{"\\u005fplaceholder":true,"n\\u0075m":0}', `[[${place(0)}]]`, `{"a":${place(0)}}`, `[${place(0)},${place(0)}]`, '"none"',
  `{"_placeholder":true,"num":${place(0)}}`, `{"_placeholder":${place(0)},"num":0}`,
].map((json) => [`51-["a",${json}]`, bytes(9)]);

const sequences = [
  [`51-["a",${place(0)}]`, '2["b"]'],
  [`52-["a",${place(0)},${place(1)}]`, bytes(1), '2["b"]'],
  [`52-["a",${place(1)},${place(0)}]`, bytes(1), bytes(2)],
  [bytes(1)],
  [`51-["a",${place(0)}]`, bytes(1), bytes(2)],
  ['2["a"]', bytes(1)],
];

// Every beginning of these.
const cut = [
  '2/admin,12["event",{"a":[1,"b",null]}]',
  '0/admin?x=1,{"token":"\\u00e9"}',
  `52-/admin,3["e",${place(0)},{"a":${place(1)}}]`,
];
const beginnings = cut.flatMap((text) => Array.from({ length: text.length }, (_, i) => text.slice(0, i + 1)));

const payloads = [
  "4", "4hello", "4hello\x1e4world", "2\x1e3\x1e4", "1", "6", "7", "", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b", "4a\x1e7\x1e4b",
  "b", "bAQIDBA==", "4a\x1ebAQIDBA==\x1e4b", "bAQIDBA", "bAQID BA==", "b-_-_", "b!!!!", "bAQIDBB==", "4gr\u00fc\u00dfe",
  "4b", "b4", "2probe\x1e5", "0{}", "a", "44", "b====",
];
const payloadsEncoded = [
  [{ type: "message", data: "a" }],
  [{ type: "message", data: "a" }, { type: "message", data: bytes(1, 2, 3, 4) }, { type: "ping" }],
  [{ type: "message", data: bytes() }, { type: "noop" }, { type: "message" }],
  [{ type: "open", data: '{"sid":"x"}' }, { type: "message", data: "gr\u00fc\u00dfe \u{1f600}" }],
  [{ type: "pong", data: "probe" }, { type: "upgrade" }, { type: "close" }],
];

/** `value` with its bytes written as JSON can. */
function plain(value) {
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof ArrayBuffer) value = Buffer.from(value);
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** The packets that come out of these frames, and whether it ended in an error. */
function decode(frames) {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(plain(packet)));
  try {
    frames.forEach((frame) => decoder.add(frame));
    return { frames: plain(frames), packets, failed: false };
  } catch {
    return { frames: plain(frames), packets, failed: true };
  }
}

/** The packet's bytes, and what the parser reads in them. */
function pack(packet) {
  const [frame] = new msgpack.Encoder().encode(packet);
  const decoder = new msgpack.Decoder();
  let read;
  decoder.on("decoded", (packet) => (read = packet));
  decoder.add(frame);
  return { frame: plain(frame), packet: plain(read) };
}

function payloadOf(packets) {
  let body;
  encodePayload(packets, (encoded) => (body = encoded));
  return { packets: plain(packets), body };
}

const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
const transcripts = {
  "socket.io-parser": version("socket.io-parser"),
  "engine.io-parser": version("engine.io-parser"),
  "socket.io-msgpack-parser": version("socket.io-msgpack-parser"),
  encode: encoded.map((packet) => ({ packet: plain(packet), frames: plain(new Encoder().encode(packet)) })),
  decode: [...texts.map((text) => [text]), ...beginnings.map((text) => [text]), ...placeholders, ...sequences].map(decode),
  msgpack: packed.map(pack),
  encode_payload: payloadsEncoded.map(payloadOf),
  decode_payload: payloads.map((body) => ({ body, packets: plain(decodePayload(body)) })),
};
// One case per line, so that a difference can be read.
const lines = Object.entries(transcripts).map(([name, value]) =>
  Array.isArray(value)
    ? `${JSON.stringify(name)}: [\n${value.map((each) => JSON.stringify(each)).join(",\n")}\n]`
    : `${JSON.stringify(name)}: ${JSON.stringify(value)}`,
);
console.log(`{\n${lines.join(",\n")}\n}`);
