/** Whoever wants to be connected, in tests of routes: notes what it is told, in the log of the factory. */

import type { AsyncSocketError } from "asyncsocket";
import type { Reached, RouteOwner } from "#dist/connect/route.js";
import type { ScriptedFactory } from "./scripted-factory.js";

export class NotingOwner implements RouteOwner {
  readonly factory: ScriptedFactory;
  error: AsyncSocketError | null = null;
  reached: Reached | null = null;
  isReferenced = true;
  readonly trace = null;

  constructor(factory: ScriptedFactory) {
    this.factory = factory;
  }

  protected note(what: string): void {
    this.factory.log.push(what);
  }

  /** What happened since this was last asked. */
  get log(): string[] {
    return this.factory.take();
  }

  get clock(): ScriptedFactory["clock"] {
    return this.factory.clock;
  }

  didConnect(reached: Reached): void {
    this.reached = reached;
    this.note("connected");
  }

  didFailToConnect(error: AsyncSocketError): void {
    this.error = error;
    this.note(error.message);
  }

  didOpenDescriptor(): void {
    this.note("a descriptor more");
  }

  didCloseDescriptor(): void {
    this.note("a descriptor less");
  }
}
