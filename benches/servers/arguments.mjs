// The command line that the servers for Node and Bun have in common: PORT --mode echo|broadcast|block.

const [port, , mode = "echo"] = process.argv.slice(2);

export const PORT = Number(port);
export const MODE = mode;
export const MAX_MESSAGE_BYTES = 16 << 20;
export const BACKLOG = 4096;

// Blocks the thread for as many seconds as a message says.
export function block(message) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(message.toString()) * 1000);
}
