/**
 * Sockets in OpenTelemetry: a span for each connect, with the addresses that were tried; histograms of reads, writes, handshakes and
 * connections; a counter of closes by reason. It uses the API alone: who sets up an SDK decides where all of it goes.
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { metrics, type Attributes, type Meter, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { CloseMessage, ConnectMessage, EntryMessage, SecureMessage } from "asyncsocket";

const NAME = "asyncsocket";

/** What is told on a channel, and how it is counted. */
type Listeners = Readonly<Record<string, (message: never) => void>>;

/** Begins to tell OpenTelemetry. @returns a function that ends it */
export function instrument(): () => void {
  const listeners: Listeners = { ...connectSpans(), ...histograms(metrics.getMeter(NAME)) };
  const entries = Object.entries(listeners) as [string, (message: unknown) => void][];
  for (const [name, listener] of entries) subscribe(name, listener);
  return () => {
    for (const [name, listener] of entries) unsubscribe(name, listener);
  };
}

function errorType(error: { readonly code: string } | undefined): Attributes {
  return error === undefined ? {} : { "error.type": error.code };
}

/** A connect's span has the address as attributes, and an event for each lookup and each address tried. */
function connectSpans(): Listeners {
  const tracer = trace.getTracer(NAME);
  const spans = new WeakMap<ConnectMessage, Span>();
  return {
    "tracing:asyncsocket:connect:start": (message: ConnectMessage) => {
      const { host, port, path } = message;
      const attributes =
        path === undefined ? { "server.address": host, "server.port": port } : { "server.address": path };
      spans.set(message, tracer.startSpan("asyncsocket connect", { kind: SpanKind.CLIENT, attributes }));
    },
    "tracing:asyncsocket:connect:asyncEnd": (message: ConnectMessage) => {
      const span = spans.get(message);
      if (span === undefined) return;
      for (const { host, ms, addresses } of message.lookups) span.addEvent("lookup", { host, ms: ms ?? 0, addresses });
      for (const { address, outcome, ms } of message.tried) {
        const place = address.family === "unix" ? address.path : address.address;
        span.addEvent("tried", { address: place, outcome: outcome ?? "", ms: ms ?? 0 });
      }
      const { error } = message;
      span.setAttributes({
        "asyncsocket.dns_ms": message.dnsMs,
        "asyncsocket.tls_ms": message.tlsMs,
        ...errorType(error),
      });
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      span.end();
    },
  };
}

function histograms(meter: Meter): Listeners {
  const time = (name: string, description: string) =>
    meter.createHistogram(`asyncsocket.${name}.duration`, { description, unit: "ms" });
  const entries = time("entry", "How long reads and writes were the current ones of their queues");
  const queued = time("queue", "How long reads and writes waited for those before them");
  const handshakes = time("handshake", "How long TLS handshakes took");
  const connections = time("connection", "How long connections were open");
  const bytes = meter.createCounter("asyncsocket.bytes", { description: "Bytes read and written", unit: "By" });
  const closes = meter.createCounter("asyncsocket.closes", { description: "Sockets closed, by reason" });
  const entry = ({ kind, bytes: count, queuedMs, currentMs, error }: EntryMessage): void => {
    const attributes = { kind, ...errorType(error) };
    bytes.add(count, attributes);
    if (queuedMs !== undefined) queued.record(queuedMs, attributes);
    if (currentMs !== undefined) entries.record(currentMs, attributes);
  };
  return {
    "asyncsocket:read": entry,
    "asyncsocket:write": entry,
    "asyncsocket:secure": ({ ms, version, error }: SecureMessage) =>
      handshakes.record(ms, { version: version ?? "", ...errorType(error) }),
    "asyncsocket:close": ({ by, openMs, error }: CloseMessage) => {
      closes.add(1, { by, ...errorType(error) });
      if (openMs !== undefined) connections.record(openMs, { by });
    },
  };
}
