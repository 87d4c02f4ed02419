// Puts the client for browsers into the package: what `npm ci` has fetched here, by the versions and hashes of
// package-lock.json. Beside each file its compressed forms, and the licences of all that is bundled in them.
//
//     npm ci --prefix python/client && node python/client/build.mjs
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const modules = new URL("node_modules/", import.meta.url);
const from = new URL("socket.io-client/dist/", modules);
const to = new URL("../hubbub/socketio/client-dist/", import.meta.url);

rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });

const bundled = new Set(["socket.io-client"]);
for (const name of readdirSync(from)) {
  const content = readFileSync(new URL(name, from));
  writeFileSync(new URL(name, to), content);
  // The original first: a compressed form that is older than it is not served.
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(new URL(`${name}.br`, to), brotliCompressSync(content, { params }));
  writeFileSync(new URL(`${name}.gz`, to), gzipSync(content, { level: 9 }));
  if (name.endsWith(".map")) JSON.parse(content).sources.map(packageOf).forEach((name) => bundled.add(name));
}
writeFileSync(new URL("LICENSE", to), [...bundled].map(licence).join(`\n${"-".repeat(80)}\n\n`));

/** The package that a bundled file comes from: its own sources are in build/, its siblings' in their repository's folders. */
function packageOf(source) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source) ?? /^\.\.\/\.\.\/([^/]+)\//.exec(source);
  const name = found?.[1] ?? "socket.io-client";
  return name === "socket.io-component-emitter" ? "@socket.io/component-emitter" : name;
}

/** The text of a package's licence, below its name. */
function licence(name) {
  const folder = new URL(`${name}/`, modules);
  const file = existsSync(folder) && readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (!file) throw new Error(`${name} is bundled, but its licence is not here: does package.json name it?`);
  return `${name}\n\n${readFileSync(new URL(file, folder), "utf8").trim()}\n`;
}
