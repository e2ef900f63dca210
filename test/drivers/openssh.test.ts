/** ssh2 over our streams, against OpenSSH: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import { type EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { pattern } from "../support/delegates.js";
import { type Base, connectingStream, describeDriver, digest, driver, HOST, OURS } from "../support/drivers.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import {
  findProgram,
  needs,
  type Owner,
  Program,
  startOnFreePort,
  suiteAsOwner,
  UNPRIVILEGED,
  unprivilegedFile,
  unprivilegedFolder,
} from "../support/programs.js";
import { keepWhatIsOpen } from "../support/transports.js";

type Callback<T> = (error: Error | undefined, value: T) => void;

interface SFTP {
  writeFile(path: string, data: Buffer, done: (error?: Error | null) => void): void;
  readFile(path: string, done: Callback<Buffer>): void;
  stat(path: string, done: Callback<{ size: number }>): void;
}

interface Client extends EventEmitter {
  connect(options: object): void;
  sftp(done: Callback<SFTP>): void;
  forwardOut(host: string, port: number, toHost: string, toPort: number, done: Callback<Duplex>): void;
  end(): void;
}

interface SSH {
  readonly default: {
    readonly Client: new () => Client;
    readonly utils: { readonly generateKeyPairSync: (kind: string) => { private: string; public: string } };
  };
}

const ssh = await driver<SSH>("ssh2");
const BULK = pattern(3_000_000);

interface OpenSSH {
  readonly server: Program;
  readonly port: number;
  /** Where files may be stored. */
  readonly folder: string;
  readonly privateKey: string;
}

/** Runs as a user that need have neither a shell nor a password, and for that user alone. */
async function startOpenSSH(t: Owner, { utils }: SSH["default"]): Promise<OpenSSH> {
  const folder = unprivilegedFolder(t);
  const [host, user] = [utils.generateKeyPairSync("ed25519"), utils.generateKeyPairSync("ed25519")];
  const config = `
    HostKey ${unprivilegedFile(folder, "host-key", host.private)}
    AuthorizedKeysFile ${unprivilegedFile(folder, "authorized", user.public)}
    ListenAddress ${HOST}
    PidFile none
    UsePAM yes
    StrictModes no
    Subsystem sftp internal-sftp
  `;
  const configFile = unprivilegedFile(folder, "config", config);
  // It starts itself anew for each connection, and so has to know where it is.
  const program = findProgram("sshd") ?? "sshd";
  const start = (port: number): Program =>
    new Program(t, program, ["-D", "-e", "-f", configFile, "-p", String(port)], UNPRIVILEGED);
  return { ...(await startOnFreePort(start, /Server listening on/)), folder, privateKey: user.private };
}

describe("OpenSSH, by a client that takes our streams for sockets", needs("sshd", "openssh-server"), () => {
  describeDriver("ssh2", ssh, ({ default: module }) => {
    const owner = suiteAsOwner();
    let openSSH: OpenSSH;
    before(async () => {
      openSSH = await startOpenSSH(owner, module);
      keepWhatIsOpen();
    });

    async function open(t: TestContext, base: Base): Promise<Client> {
      const { port, privateKey } = openSSH;
      const username = UNPRIVILEGED.uid === undefined ? userInfo().username : "nobody";
      const client = new module.Client();
      client.on("error", () => undefined);
      client.connect({ sock: connectingStream(t, base, port), username, privateKey });
      await once(client, "ready");
      return client;
    }

    /** Stores a file and gets it again, and talks through a tunnel to a server that sends everything back. */
    async function talk(t: TestContext, client: Client, name: string): Promise<unknown[]> {
      const sftp = await promisify((done: Callback<SFTP>) => client.sftp(done))();
      const path = join(openSSH.folder, name);
      await promisify((done: (error?: Error | null) => void) => sftp.writeFile(path, BULK, done))();
      const seen: unknown[] = [digest(readFileSync(path))];
      const back = await promisify((done: Callback<Buffer>) => sftp.readFile(path, done))();
      seen.push(digest(back));
      const missing = promisify((done: Callback<{ size: number }>) => sftp.stat(`${path}-missing`, done))();
      seen.push(await missing.catch((error: unknown) => (error as Error).message));
      const echo = Belongings.of(t)
        .addRaw(net.createServer((socket) => void socket.pipe(socket)))
        .listen(0, HOST);
      await once(echo, "listening");
      const { port } = echo.address() as net.AddressInfo;
      const tunnel = await promisify((done: Callback<Duplex>) => client.forwardOut(HOST, 1, HOST, port, done))();
      tunnel.end(BULK);
      const chunks: Buffer[] = [];
      for await (const chunk of tunnel) chunks.push(chunk as Buffer);
      return [...seen, digest(Buffer.concat(chunks))];
    }

    it("stores, gets and tunnels the same over every transport", async (t) => {
      for (const base of ["node:net", ...OURS] as const) {
        const client = await open(t, base);
        const seen = await talk(t, client, base.replace(":", "-"));
        assert.deepEqual(seen, [digest(BULK), digest(BULK), "No such file", digest(BULK)], base);
        const closed = once(client, "close");
        client.end();
        await closed;
      }
    });

    it("fails alike over every transport when the server is killed", async (t) => {
      const clients: Client[] = [];
      for (const base of ["node:net", ...OURS] as const) clients.push(await open(t, base));
      const all = clients.map((client) => {
        const events: unknown[] = [];
        client.on("error", (error: NodeJS.ErrnoException) => events.push(error.code ?? error.message));
        client.on("end", () => events.push("end"));
        return { closed: new Promise((done) => client.once("close", done)), events };
      });
      await openSSH.server.kill();
      // What a client says last may be met by a RST, which then is what the client hears of, on the runtime's sockets as well.
      for (const { closed, events } of all) {
        await closed;
        assert.ok(events.length > 0);
        for (const event of events) assert.ok(["end", "ECONNRESET", "EPIPE"].includes(event as string), String(event));
      }
    });
  });
});
