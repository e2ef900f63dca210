/**
 * What the promise style costs: pipelined lines of 50 bytes, read in delegate style, by `await socket.readLine()` and by
 * `for await (… of socket.lines())`, each with and without a reply, in one process over the network in memory. Run by
 * hand: `node build/bench/styles.js [ROUNDS]`. The minimum of the rounds counts, so a busy machine does no harm.
 */
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { MAX_LINE, READ_TIMEOUT_MS } from "./workloads.js";

const LINES = 1000;
const CHUNK = Buffer.from(`${"x".repeat(49)}\n`.repeat(LINES));
const OPTIONS = { timeout: READ_TIMEOUT_MS, maxLength: MAX_LINE };

/** Serves a socket, and calls `didServe` for each line. */
type Style = (socket: AsyncSocket, answer: (line: string) => void) => Promise<void> | void;

const STYLES: Readonly<Record<string, Style>> = {
  delegate(socket, answer) {
    socket.delegate = {
      didReadText(_socket, line) {
        answer(line);
        socket.readLine(OPTIONS);
      },
    };
    socket.readLine(OPTIONS);
  },
  async await(socket, answer) {
    for (;;) answer(await socket.readLine(OPTIONS));
  },
  async "for await"(socket, answer) {
    for await (const line of socket.lines(OPTIONS)) answer(line);
  },
};

/** @returns nanoseconds a line, the minimum of the rounds */
async function measure(style: Style, replies: boolean, rounds: number): Promise<number> {
  const transport = new MemoryNetwork({ capacityBytes: 1 << 20 });
  const listener = await AsyncSocket.listen({ transport, port: 7 });
  const client = await AsyncSocket.connect({
    transport,
    port: 7,
    delegate: { didRead: (socket) => void socket.read() },
  });
  const server = (await listener.connections().next()).value as AsyncSocket;
  let left = 0;
  let finish = (): void => undefined;
  void style(server, (line) => {
    if (replies) server.writeLine(line);
    if (--left === 0) finish();
  })?.catch(() => undefined);
  client.read();
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    left = LINES;
    const served = new Promise<void>((resolve) => (finish = resolve));
    const start = process.hrtime.bigint();
    client.write(CHUNK);
    await served;
    best = Math.min(best, Number(process.hrtime.bigint() - start) / LINES);
    await new Promise((turn) => setImmediate(turn));
  }
  client.disconnect();
  listener.disconnect();
  return best;
}

const rounds = Number(process.argv[2] ?? 500);
for (const replies of [false, true]) {
  let first = 0;
  for (const [name, style] of Object.entries(STYLES)) {
    const cost = await measure(style, replies, rounds);
    first ||= cost;
    const row = [name.padEnd(10), replies ? "with replies" : "reads alone ", `${cost.toFixed(0).padStart(5)} ns`];
    console.log(...row, `${(cost / first).toFixed(2)} x delegate`);
  }
}
