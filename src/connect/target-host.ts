import type { Clock } from "../base/clock.js";
import type { Endpoint } from "../transport/options.js";
import type { Attempt } from "./attempt.js";
import { type Candidate, type Question, HappyEyeballs, type HappyEyeballsOwner } from "./happy-eyeballs.js";
import type { InterfaceAddresses } from "./local-address.js";
import { addressInWords, isAbsence, type Tried } from "./messages.js";
import type { IpTarget } from "./options.js";
import { ask, type NameQuery, questionsOf } from "./resolve.js";

/** What a place needs of whoever connects to it. */
export interface Caller {
  readonly clock: Clock;
  call(endpoint: Endpoint, done: (error: Error | null) => void): Attempt;
  didReach(call: Attempt): void;
  didNotReach(place: TargetHost): void;
}

/** One host and port: its name is looked up, and its addresses are raced against each other. */
export class TargetHost implements HappyEyeballsOwner<Attempt> {
  readonly #caller: Caller;
  readonly #query: NameQuery;
  readonly #port: number;
  readonly #target: IpTarget;
  readonly #interface: InterfaceAddresses | null;
  readonly #race: HappyEyeballs<Attempt>;
  readonly #stopAsking: (() => void)[] = [];

  constructor(
    caller: Caller,
    query: NameQuery,
    port: number,
    target: IpTarget,
    interfaceAddresses: InterfaceAddresses | null,
  ) {
    this.#caller = caller;
    this.#query = query;
    this.#port = port;
    this.#target = target;
    this.#interface = interfaceAddresses;
    const { preferFamily, attemptDelayMs } = target;
    const questions = questionsOf(query);
    this.#race = new HappyEyeballs<Attempt>(this, caller.clock, {
      questions,
      firstFamily: preferFamily,
      attemptDelayMs,
    });
  }

  start(): void {
    this.#race.start();
  }

  cancel(): void {
    this.#race.cancel();
    for (const stop of this.#stopAsking) stop();
  }

  get host(): string {
    return this.#query.host;
  }

  get isLookingUp(): boolean {
    return this.#race.unanswered.length > 0;
  }

  /** Its addresses tried so far, and the lookup, if that failed. */
  get tried(): Tried[] {
    const { attempts, lookupErrors } = this.#race;
    const tried = attempts.map(({ candidate, error }): Tried => ({ where: this.#inWords(candidate), error }));
    const failures = lookupErrors.filter((error) => !isAbsence(error));
    // That one family has no address is no failure while the other has some.
    const telling = failures[0] ?? (attempts.length === 0 ? lookupErrors[0] : undefined);
    return telling === undefined ? tried : [...tried, { where: "", error: telling }];
  }

  /** With the place, where there may be several. */
  #inWords({ address }: Candidate): string {
    const words = addressInWords(address);
    return this.#target.service === undefined ? words : `${this.host} port ${this.#port} at ${words}`;
  }

  resolve(question: Question, answer: (error: Error | null, found: readonly Candidate[]) => void): void {
    this.#stopAsking.push(ask(this.#query, question, answer));
  }

  dial(candidate: Candidate, done: (error: Error | null) => void): Attempt {
    const { localAddress, localPort } = this.#target;
    const { family } = candidate;
    const endpoint: Endpoint = {
      path: null,
      address: this.#interface?.scoped(candidate.address) ?? candidate.address,
      family,
      port: this.#port,
      localAddress: localAddress ?? this.#interface?.addressFor(candidate),
      localPort,
    };
    return this.#caller.call(endpoint, done);
  }

  hangUp(call: Attempt): void {
    call.hangUp();
  }

  didWin(call: Attempt): void {
    this.#caller.didReach(call);
  }

  didLose(): void {
    this.#caller.didNotReach(this);
  }
}
