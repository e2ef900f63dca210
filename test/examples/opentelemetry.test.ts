/** The OpenTelemetry example: what its spans and histograms have. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { instrument } from "../../examples/opentelemetry/instrument.js";
import { failure } from "../support/delegates.js";
import { Program } from "../support/programs.js";
import { SAFETY } from "../support/transports.js";

describe("the OpenTelemetry example", SAFETY, () => {
  it("makes a span of each connect, histograms of reads and writes, and counts closes", async () => {
    const spans = new InMemorySpanExporter();
    const points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const traces = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
    const meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: points })] });
    trace.setGlobalTracerProvider(traces);
    metrics.setGlobalMeterProvider(meters);
    const stop = instrument();
    const transport = new MemoryNetwork({ hosts: { "two.test": ["10.0.0.1", "10.0.0.2"] } });
    const listener = await AsyncSocket.listen({ transport, port: 7 });
    const client = await AsyncSocket.connect({ transport, port: 7 });
    const { value: server } = await listener.connections().next();
    client.write("four\n");
    client.write("five\n");
    await server?.readLine();
    await server?.readLine();
    const error = await failure(AsyncSocket.connect({ transport, host: "two.test", port: 8 }));
    await Promise.all([client.disconnect(), server?.closed, listener.disconnect()]);
    stop();
    await meters.forceFlush();

    const [good, bad, ...others] = spans.getFinishedSpans();
    assert.deepEqual(others, []);
    assert.equal(good?.attributes["server.port"], 7);
    assert.equal(good.status.code, SpanStatusCode.UNSET);
    assert.equal(bad?.attributes["error.type"], error.code);
    assert.equal(bad.status.code, SpanStatusCode.ERROR);
    const tried = bad.events.filter(({ name }) => name === "tried").map(({ attributes }) => attributes?.["address"]);
    assert.deepEqual(tried, ["10.0.0.1", "10.0.0.2"]);

    const all = points.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    const entries = all.find(({ descriptor }) => descriptor.name === "asyncsocket.entry.duration");
    const counts = entries?.dataPoints.map(({ attributes, value }) => [attributes["kind"], (value as Histogram).count]);
    assert.deepEqual(
      new Map(counts as [string, number][]),
      new Map([
        ["write", 2],
        ["readLine", 2],
      ]),
    );
    const closes = all.find(({ descriptor }) => descriptor.name === "asyncsocket.closes");
    assert.deepEqual(
      new Set(closes?.dataPoints.map(({ attributes }) => attributes["by"])),
      new Set(["local", "remote", "error"]),
    );
    await meters.shutdown();
    await traces.shutdown();
    trace.disable();
    metrics.disable();
  });

  it("prints them, as a program", async (t) => {
    const { code, stdout } = await Program.example(t, "opentelemetry/run", []).ended();
    assert.equal(code, 0);
    assert.match(stdout, /name: ["'`]asyncsocket connect/);
    assert.match(stdout, /asyncsocket\.connection\.duration/);
  });
});
