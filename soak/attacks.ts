/** What hostile peers do, one function each. Every one of them goes on until its time is over. */
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectSecurely } from "node:tls";
import type { Attack } from "./peers.js";
import { SLOWLY } from "./requests.js";

const CLIENT_HELLO = Buffer.from("16030100c8010000c40303", "hex");
const CHUNK = Buffer.alloc(16_384, "a");
const LINES = Buffer.from(`${"a line that nobody reads the answer of ".repeat(200)}\n`.repeat(4));
/** Lines that the server does something else at, than send them back. */
const BYE = "bye\n";
const FRAMES = "frames\n";
/** More than the server takes, and as much as it takes, of which only a little ever comes. */
const TOO_LONG = Buffer.from("ffffffff", "hex");
const BARELY_BEGUN = Buffer.from("00100000ffff", "hex");
/** All the room that a socket has for what nobody reads but one byte, and then as much again. */
const ALL_BUT_ONE = Buffer.alloc(65_535, "y\n");
const AS_MUCH_AGAIN = Buffer.alloc(65_536, "y\n");
/** Tiny chunks wait in the socket only so long as the kernel takes them. */
const UNSENT_MAX = 4096;

export interface AttackKind {
  readonly name: string;
  /** Of so many connections at once, where as many as are asked for would not be the point. */
  readonly most?: number;
  /** Whether all of them are to be open at the same time, some time. */
  readonly holdsAll?: boolean;
  /** What each connection may take of the server's heap and buffers, looked at after so many ms, where it goes on for longer. */
  readonly held?: { readonly eachMaxBytes: number; readonly afterMs: number };
  /** How some connections must end, where the attack goes on for longer than so many ms. */
  readonly ending?: { readonly code: string; readonly afterMs: number };
  run(attack: Attack): Promise<void>;
}

function readsNothing(socket: Socket): void {
  socket.pause();
}

function sendsLines(socket: Socket): void {
  const send = (): void => {
    while (!socket.destroyed && socket.write(LINES));
  };
  socket.on("drain", send);
  send();
}

async function many(attack: Attack): Promise<void> {
  const greet = (socket: Socket): void => {
    socket.write("hello\n");
    socket.once("data", () => attack.count("answered"));
  };
  await attack.keepOpen(attack.connections, () => attack.dial(attack.ports.plain, greet));
  attack.count("open at the end", attack.open);
}

async function slowSenders(attack: Attack): Promise<void> {
  const filling = attack.keepOpen(attack.connections, () => attack.dial(attack.ports.plain));
  await attack.repeat(20, () => {
    for (const socket of attack.sockets) if (socket.writable && !socket.connecting) socket.write("x");
    attack.count("bytes", attack.open);
  });
  await filling;
}

async function neverReading(attack: Attack): Promise<void> {
  await attack.keepOpen(attack.connections, () => {
    readsNothing(attack.dial(attack.ports.plain, sendsLines));
  });
}

async function giantLines(attack: Attack): Promise<void> {
  const send = (socket: Socket): void => {
    while (!socket.destroyed && socket.write(CHUNK)) attack.count("KiB", CHUNK.length / 1024);
    socket.once("drain", () => send(socket));
  };
  await attack.keepOpen(attack.connections, () => {
    attack
      .dial(attack.ports.plain, send)
      .resume()
      .once("end", function (this: Socket) {
        attack.count("turned away");
        this.destroy();
      });
  });
}

async function tinyChunks(attack: Attack): Promise<void> {
  const filling = attack.keepOpen(attack.connections, () => attack.dial(attack.ports.plain).resume());
  while (!attack.isOver) {
    for (const socket of attack.sockets) {
      for (let i = 0; i < 200 && socket.writable && socket.writableLength < UNSENT_MAX; i++) {
        socket.write(attack.below(30) === 0 ? "\n" : "y");
        attack.count("chunks");
      }
    }
    await delay(0);
  }
  await filling;
}

async function resets(attack: Attack): Promise<void> {
  const { plain, tls } = attack.ports;
  const phases: ((socket: Socket) => void)[] = [
    (socket) => socket.resetAndDestroy(),
    (socket) => socket.write("half a li", () => socket.resetAndDestroy()),
    (socket) => socket.write("a line\n", () => socket.resetAndDestroy()),
    (socket) => socket.write("a line\n") && socket.once("data", () => socket.resetAndDestroy()),
    (socket) => socket.end("a line\n", () => socket.resetAndDestroy()),
    (socket) => readsNothing(socket) ?? (socket.write(LINES), setTimeout(() => socket.resetAndDestroy(), 20)),
  ];
  await attack.keepOpen(attack.connections, () => {
    const phase = phases[attack.below(phases.length)] as (socket: Socket) => void;
    if (attack.below(5) > 0) attack.dial(plain, phase);
    else attack.dial(tls, (socket) => socket.write(CLIENT_HELLO, () => socket.resetAndDestroy()));
    attack.count("resets");
  });
}

async function stoppedHandshakes(attack: Attack): Promise<void> {
  const starts = [Buffer.alloc(0), CLIENT_HELLO, Buffer.from("GET / HTTP/1.1\r\n\r\n"), CLIENT_HELLO.subarray(0, 3)];
  await attack.keepOpen(attack.connections, () => {
    const start = starts[attack.below(starts.length)] as Buffer;
    const socket = attack.dial(attack.ports.tls, () => socket.write(start)).resume();
    socket.once("end", () => {
      attack.count("turned away");
      socket.destroy();
    });
  });
}

async function slowlyRead(attack: Attack): Promise<void> {
  await attack.keepOpen(attack.connections, () => {
    const socket = attack.dial(attack.ports.tls);
    const secure = connectSecurely({ socket, rejectUnauthorized: false }, () => secure.write(`${SLOWLY}\n`));
    secure.on("error", () => attack.count("errors over TLS"));
    // Only what comes after the first answer meets a server that does not read.
    secure.once("data", () => {
      secure.write(ALL_BUT_ONE, () => {
        secure.write(AS_MUCH_AGAIN);
        attack.count("filled");
      });
    });
  });
}

async function halfOpen(attack: Attack): Promise<void> {
  await attack.keepOpen(attack.connections, () => {
    const isFirst = attack.below(2) === 0;
    const socket = attack.dial(attack.ports.plain, () => {
      if (isFirst) socket.end("the last line\n");
      else socket.write(BYE);
    });
    socket.resume();
    // The others never close by themselves: only the server's limit ends a connection whose peer keeps its side open.
    if (isFirst) socket.once("end", () => setTimeout(() => socket.destroy(), 200));
  });
}

async function falseFrames(attack: Attack): Promise<void> {
  await attack.keepOpen(attack.connections, () => {
    const claim = attack.below(4) === 0 ? TOO_LONG : BARELY_BEGUN;
    const socket = attack.dial(attack.ports.plain, () => {
      socket.write(FRAMES);
      socket.write(claim);
    });
    socket.resume().once("end", () => {
      attack.count("turned away");
      socket.destroy();
    });
  });
}

async function storm(attack: Attack): Promise<void> {
  await attack.keepOpen(attack.connections, () => {
    attack.dial(attack.ports.plain, (socket) => (attack.below(2) === 0 ? socket.end() : socket.destroy())).resume();
  });
}

async function dyingLoops(attack: Attack): Promise<void> {
  const { loops } = attack.ports;
  if (loops === null) return attack.count("no run loops here");
  const greet = (socket: Socket): void => {
    socket.write("hello\n");
    socket.on("data", () => {
      attack.count("answered");
      const lot = attack.below(200);
      if (lot === 0) attack.count("killed");
      socket.write(lot > 0 ? "again\n" : attack.below(2) === 0 ? "crash\n" : "exit\n");
    });
    socket.once("end", () => socket.destroy());
  };
  await attack.keepOpen(attack.connections, () => attack.dial(loops, greet));
}

export const ATTACKS: readonly AttackKind[] = [
  { name: "many connections", run: many, holdsAll: true },
  {
    name: "slow senders",
    most: 2000,
    run: slowSenders,
    holdsAll: true,
    ending: { code: "READ_TIMEOUT", afterMs: 5500 },
  },
  { name: "peers that never read", most: 50, run: neverReading, ending: { code: "QUEUE_FULL", afterMs: 2500 } },
  { name: "giant lines", most: 200, run: giantLines, ending: { code: "READ_LIMIT", afterMs: 500 } },
  { name: "frames with false lengths", most: 2000, run: falseFrames, ending: { code: "READ_LIMIT", afterMs: 500 } },
  { name: "tiny chunks", most: 50, run: tinyChunks, holdsAll: true },
  { name: "resets in every phase", most: 500, run: resets, ending: { code: "CONNECTION_LOST", afterMs: 500 } },
  { name: "handshakes that stop", most: 500, run: stoppedHandshakes, ending: { code: "TLS_TIMEOUT", afterMs: 2500 } },
  {
    name: "peers over TLS that are read slowly",
    most: 50,
    run: slowlyRead,
    held: { eachMaxBytes: 768 * 1024, afterMs: 1000 },
  },
  { name: "half-open ones", most: 500, run: halfOpen, ending: { code: "local", afterMs: 2500 } },
  { name: "run loops that die", most: 200, run: dyingLoops },
  { name: "connection storms", most: 500, run: storm, ending: { code: "remote", afterMs: 500 } },
];
