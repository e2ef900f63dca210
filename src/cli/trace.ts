/** How a connection came about, as the diagnostics channel of `connect` tells it. */

import { subscribe } from "node:diagnostics_channel";
import type { ConnectMessage } from "../index.js";
import { addressInWords, duration } from "./terminal.js";

/** Tells of each connect of this program that is over. */
export function traceConnects(tell: (message: ConnectMessage) => void): void {
  subscribe("tracing:asyncsocket:connect:asyncEnd", (message) => tell(message as ConnectMessage));
}

/** What was looked up and tried, in sentences. */
export function traceLines({ lookups, tried, proxy, tlsMs }: ConnectMessage): string[] {
  const lines = lookups.map(({ host, addresses, ms, error }) => {
    const what = error === undefined ? `${addresses} address${addresses === 1 ? "" : "es"}` : error.message;
    return `Looked ${host} up: ${ms === undefined ? "no answer yet" : `${what}, after ${duration(ms)}`}`;
  });
  if (proxy !== undefined) lines.push(`Went by the proxy ${proxy}`);
  for (const { address, outcome, ms, error } of tried) {
    const how = {
      connected: "connected",
      failed: `failed (${codeOf(error) ?? "unknown"})`,
      canceled: "given up, another was faster",
    };
    const time = ms === undefined ? "" : ` after ${duration(ms)}`;
    lines.push(`Tried ${addressInWords(address)}: ${outcome === undefined ? "no answer yet" : how[outcome]}${time}`);
  }
  if (tlsMs !== undefined) lines.push(`The TLS handshake took ${duration(tlsMs)}`);
  return lines;
}

/** The same as JSON takes it. */
export function traceFacts({ lookups, tried, proxy, dnsMs, tlsMs, ms }: ConnectMessage): object {
  return {
    lookups: lookups.map(({ error, ...lookup }) => ({ ...lookup, code: codeOf(error) })),
    tried: tried.map(({ error, ...attempt }) => ({ ...attempt, code: codeOf(error) })),
    ...{ proxy, dnsMs, tlsMs, ms },
  };
}

function codeOf(error: Error | undefined): string | null {
  return error === undefined ? null : ((error as NodeJS.ErrnoException).code ?? error.message);
}
