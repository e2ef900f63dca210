/** Exim as a mail server that the tests start. */

import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { FiledAuthority } from "./key-files.js";
import { needs, Program, startOnFreePort } from "./programs.js";

/** The name of the server, for which its certificate is. */
export const EXIM_NAME = "mail.example.net";

/** Exim takes mail for example.net by TLS alone, puts each into a file as it came, and sends nothing anywhere. */
function configuration(folder: string, { keyFile, certFile }: { keyFile: string; certFile: string }): string {
  return `
    primary_hostname = ${EXIM_NAME}
    spool_directory = ${folder}/spool
    log_file_path = ${folder}/%slog
    pid_file_path = ${folder}/pid
    daemon_startup_retries = 0
    deliver_drop_privilege
    keep_environment =
    host_lookup =
    rfc1413_hosts =
    received_header_text =
    message_size_limit = 4M
    tls_advertise_hosts = *
    tls_certificate = ${certFile}
    tls_privatekey = ${keyFile}
    acl_smtp_rcpt = check_recipient
    acl_smtp_data = accept
    begin acl
    check_recipient:
      deny message = 5.7.0 Only by TLS
        !encrypted = *
      accept domains = example.net
      deny message = 5.7.1 Not here
    begin routers
    all:
      driver = accept
      transport = file
    begin transports
    file:
      driver = appendfile
      directory = ${folder}/mails
      create_file = anywhere
      use_crlf
      message_prefix =
      message_suffix =
      check_string =
  `.replace(/^ +/gm, "");
}

export interface Exim {
  server: Program;
  port: number;
  caFile: string;
  /** The mails that it has put away. */
  mails: () => Buffer[];
}

export async function startExim(t: TestContext): Promise<Exim> {
  const authority = await FiledAuthority.create(t);
  const { folder, caFile } = authority;
  const files = await authority.issue(EXIM_NAME);
  // Exim writes as a user of its own.
  const mails = join(folder, "mails");
  for (const name of [mails, join(folder, "spool")]) mkdirSync(name);
  for (const name of [folder, mails, join(folder, "spool")]) chmodSync(name, 0o777);
  const file = join(folder, "exim.conf");
  writeFileSync(file, configuration(folder, files), { mode: 0o644 });
  const started = await startOnFreePort(
    (port) => new Program(t, "exim4", ["-C", file, "-bdf", "-v", "-oX", `127.0.0.1.${port}`]),
    /daemon started/,
  );
  const read = (): Buffer[] => readdirSync(mails).map((name) => readFileSync(join(mails, name)));
  return { ...started, caFile, mails: read };
}

export function needsExim(): { skip: false | string } {
  const needed = needs("exim4", "exim4-daemon-light");
  if (needed.skip !== false || process.getuid?.() === 0) return needed;
  const reason = "skipped: exim4 serves only where root starts it";
  console.error(`*** Tests of the examples are ${reason}`);
  return { skip: reason };
}
