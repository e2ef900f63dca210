// The files of the user who `bundlers.mjs` plays.

const ECHO = `
async function echo(listener) {
  const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port });
  client.writeLine("hello");
  const line = await client.readLine();
  client.disconnect();
  return line;
}
`;

/** Without await at its top, so that it can become CommonJS. Its argument is the module that a run loop runs. */
const APP = `
import { pathToFileURL } from "node:url";
import { AsyncSocket, nativeStatus, RunLoop } from "asyncsocket";
${ECHO}
const delegate = { didAccept(_listener, socket) { socket.readLine().then((line) => socket.writeLine(line)); } };

async function main() {
  const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", delegate });
  console.log("echo: " + await echo(listener));
  listener.disconnect();
  const { available, reason } = nativeStatus();
  console.log("native: " + (available ? "yes" : reason));
  try {
    const loop = await RunLoop.spawn(pathToFileURL(process.argv[2]));
    const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: loop });
    console.log("loop: " + await echo(listener));
    listener.disconnect();
    await loop.close();
  } catch (error) {
    console.log("loop: " + error.message);
  }
}
main();
`;

const WORKER = `
import { RunLoop } from "asyncsocket";
RunLoop.current.onSocket((socket) => { socket.readLine().then((line) => socket.writeLine(line)); });
`;

const TEST = `
test("echo", async () => {
  const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
  const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port });
  client.writeLine("hello");
  const { value: socket } = await listener.connections().next();
  expect(await socket.readLine()).toBe("hello");
  await expect(client.readExactly(4, { timeout: 0 })).rejects.toThrow(AsyncSocketError);
  for (const one of [client, socket, listener]) one.disconnect();
});
`;

const TYPES = `
class Session extends AsyncSocket<string, number> {}
const options: ConnectOptions = { host: "localhost", port: 1 };
const delegate: AsyncSocketDelegate<string, number> = {
  didRead(socket, data, tag) { console.log(socket.userData, data.readUInt8(0), tag?.toUpperCase()); },
};
export async function all(): Promise<CloseReason> {
  const socket = await AsyncSocket.connect({ ...options, transport: new MemoryNetwork() });
  const line: string = await socket.readLine();
  const message: Buffer = await socket.readMessage(lengthPrefixed({ lengthBytes: 4 }));
  for await (const frame of socket.frames({ lengthBytes: 2 })) frame.readUInt8(0);
  const next = await socket.lines().next();
  if (!next.done) next.value.toUpperCase();
  if (new Error() instanceof AsyncSocketError) throw new Error(line);
  console.log(new Session({ delegate }), message, RunLoop.current);
  return socket.closed;
}
`;

const TYPES_IMPORTS = `
import { AsyncSocket, AsyncSocketError, lengthPrefixed, RunLoop } from "asyncsocket";
import type { AsyncSocketDelegate, CloseReason, ConnectOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
`;

const REQUIRES = `
const { AsyncSocket, AsyncSocketError } = require("asyncsocket");
const { MemoryNetwork } = require("asyncsocket/testing");
new MemoryNetwork();
`;

const TYPED_APP = `
import { AsyncSocket } from "asyncsocket";
async function main(): Promise<void> {
  const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
  const client: AsyncSocket = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port as number });
  client.writeLine("hello");
  const { value: socket } = await listener.connections().next();
  console.log("echo: " + (await socket!.readLine()));
  for (const one of [client, socket!, listener]) one.disconnect();
}
void main();
`;

const VITE = `
export default { logLevel: "error", ssr: { noExternal: true, target: "node" }, build: { ssr: "app.mjs", outDir: "vite" } };
`;

const COMPILER = { target: "es2022", strict: true, types: ["node"], skipLibCheck: false };

export const FILES = {
  // A package without "type": its .js and .ts files are CommonJS.
  "package.json": JSON.stringify({ name: "user", private: true }),
  "app.mjs": APP,
  "worker.mjs": WORKER,
  "jest.test.js": REQUIRES + TEST,
  "vitest.test.mjs": `import { AsyncSocket, AsyncSocketError } from "asyncsocket";\nimport { expect, test } from "vitest";\n${TEST}`,
  "types.ts": TYPES_IMPORTS + TYPES,
  "types.mts": TYPES_IMPORTS + TYPES,
  "types.cts": TYPES_IMPORTS + TYPES,
  "typed-app.ts": TYPED_APP,
  "vite.config.mjs": VITE,
  "sea.json": JSON.stringify({ main: "sea/app.js", output: "sea/app.blob", disableExperimentalSEAWarning: true }),
  "tsconfig.json": JSON.stringify({ compilerOptions: { ...COMPILER, module: "commonjs", moduleResolution: "node" } }),
};
