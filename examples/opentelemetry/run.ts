/**
 * Prints the spans of what a small client and server do, and at the end their histograms.
 *
 *   node build/examples/opentelemetry/run.js
 */

import { metrics, trace } from "@opentelemetry/api";
import { ConsoleMetricExporter, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, ConsoleSpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { AsyncSocket } from "asyncsocket";
import { instrument } from "./instrument.js";

const traces = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] });
const meters = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() })],
});
trace.setGlobalTracerProvider(traces);
metrics.setGlobalMeterProvider(meters);
const stop = instrument();

const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0 });
const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port ?? 0 });
const { value: server } = await listener.connections().next();
client.writeLine("hello");
await server?.readLine({ timeout: 5_000 });
await client.disconnectAfterWriting();
await AsyncSocket.connect({ host: "127.0.0.1", port: 1 }).catch(() => undefined);
await listener.disconnect();

stop();
await meters.shutdown();
await traces.shutdown();
