import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

const OURS = ["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TCPConnectWrap"];

/**
 * The stream sockets that this process has open, the test runner's channel included. On Linux the kernel is asked, since the
 * runtime does not know those of the native transport.
 */
export function openSockets(): string[] {
  if (process.platform !== "linux") return process.getActiveResourcesInfo().filter((name) => OURS.includes(name));
  // A runtime may open its standard streams once more, when it likes.
  const standard = ["0", "1", "2"].map(targetOf);
  const sockets = readdirSync("/proc/self/fd")
    .map(targetOf)
    .filter((target) => target.startsWith("socket:") && !standard.includes(target));
  return sockets.filter((socket) => !isOfQuery(socket));
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ""; // the descriptor of the folder itself is closed already
  }
}

/** The runtime's resolver keeps its own open for a while. */
function isOfQuery(socket: string): boolean {
  const inode = ` ${/\d+/.exec(socket)?.[0] ?? ""} `;
  const tables = ["/proc/self/net/udp", "/proc/self/net/udp6"].filter((path) => existsSync(path));
  return tables.some((path) => readFileSync(path, "latin1").includes(inode));
}
