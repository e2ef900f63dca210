/** The load process: it verifies a server, opens connections to it, and runs messages over them, as it is asked. */
import { answerRequests } from "../ipc/answers.js";
import type { LoadRequests } from "../ipc/requests.js";
import { workloadNamed, type Workload } from "../workloads.js";
import { Churn } from "./churn.js";
import { LoadConnection } from "./connection.js";
import { messageOf } from "./payload.js";
import { verify } from "./verification.js";

/** Fewer at a time than a listener's backlog holds. */
const OPEN_AT_ONCE = 100;

let churn: Churn | null = null;
let connections: LoadConnection[] = [];

async function open(workload: Workload, port: number, count: number): Promise<null> {
  const message = messageOf(workload);
  if (workload.kind === "churn") {
    churn = new Churn(port, workload.isSecure, message, count);
    return null;
  }
  const batch = Buffer.concat(Array.from({ length: workload.inFlight }, () => message));
  const slices = Array.from({ length: workload.inFlight + 1 }, (_, n) => batch.subarray(0, n * message.length));
  while (connections.length < count) {
    const fresh = Math.min(OPEN_AT_ONCE, count - connections.length);
    const opened = Array.from(
      { length: fresh },
      () => new LoadConnection(port, workload.isSecure, slices, workload.piece),
    );
    connections.push(...opened);
    await Promise.all(opened.map((connection) => connection.opened));
  }
  return null;
}

async function run(messages: number): Promise<number> {
  const began = performance.now();
  if (churn !== null) await churn.run(messages);
  else {
    const share = Math.ceil(messages / connections.length);
    const shareOf = (i: number): number => Math.max(0, Math.min(share, messages - i * share));
    await Promise.all(connections.map((connection, i) => connection.run(shareOf(i))));
  }
  return performance.now() - began;
}

async function close(): Promise<null> {
  const closing = connections;
  connections = [];
  churn = null;
  await Promise.all(closing.map((connection) => connection.close()));
  return null;
}

answerRequests<LoadRequests>({
  verify: ({ workload, port }) => verify(workloadNamed(workload), port),
  open: (ask) => open(workloadNamed(ask.workload), ask.port, ask.connections),
  run: ({ messages }) => run(messages),
  close,
});
