import type { Endpoint } from "../transport/options.js";
import type { Attempt } from "./attempt.js";
import { type Candidate, type Question, HappyEyeballs, type HappyEyeballsOwner } from "./happy-eyeballs.js";
import type { InterfaceAddresses } from "./local-address.js";
import { addressInWords, isAbsence, type Tried } from "./messages.js";
import type { IpTarget } from "./options.js";
import { askWithin, type NameQuery, questionsOf, type Waiting } from "./resolve.js";
import type { ConnectTrace } from "./trace.js";

/** The owner of a target host, which makes the attempts and is told the result. */
export interface TargetHostOwner extends Waiting {
  readonly trace: ConnectTrace | null;
  attempt(endpoint: Endpoint, done: (error: Error | null) => void): Attempt;
  didReach(attempt: Attempt): void;
  didNotReach(host: TargetHost): void;
}

/** One host and port to connect to: its name is looked up, and its addresses are tried by Happy Eyeballs. */
export class TargetHost implements HappyEyeballsOwner<Attempt> {
  readonly #owner: TargetHostOwner;
  readonly #query: NameQuery;
  readonly #port: number;
  readonly #target: IpTarget;
  readonly #interface: InterfaceAddresses | null;
  readonly #happyEyeballs: HappyEyeballs<Attempt>;
  readonly #stopAsking: (() => void)[] = [];

  constructor(
    owner: TargetHostOwner,
    query: NameQuery,
    port: number,
    target: IpTarget,
    interfaceAddresses: InterfaceAddresses | null,
  ) {
    this.#owner = owner;
    this.#query = query;
    this.#port = port;
    this.#target = target;
    this.#interface = interfaceAddresses;
    const { preferFamily, attemptDelayMs } = target;
    const questions = questionsOf(query);
    this.#happyEyeballs = new HappyEyeballs<Attempt>(this, owner.clock, {
      questions,
      firstFamily: preferFamily,
      attemptDelayMs,
    });
  }

  start(): void {
    this.#happyEyeballs.start();
  }

  cancel(): void {
    this.#happyEyeballs.cancel();
    for (const stop of this.#stopAsking) stop();
  }

  get host(): string {
    return this.#query.host;
  }

  get isLookingUp(): boolean {
    return this.#happyEyeballs.unanswered.length > 0;
  }

  /** The addresses tried so far, and the lookup, if it failed. */
  get tried(): Tried[] {
    const { attempts, lookupErrors } = this.#happyEyeballs;
    const tried = attempts.map(({ candidate, error }): Tried => ({ where: this.#inWords(candidate), error }));
    const failures = lookupErrors.filter((error) => !isAbsence(error));
    // If one family has no addresses, that is no failure as long as the other has some.
    const telling = failures[0] ?? (attempts.length === 0 ? lookupErrors[0] : undefined);
    return telling === undefined ? tried : [...tried, { where: "", error: telling }];
  }

  /** The address in words; for a service, which may have several hosts, with its host and port. */
  #inWords({ address }: Candidate): string {
    const words = addressInWords(address);
    return this.#target.service === undefined ? words : `${this.host} port ${this.#port} at ${words}`;
  }

  resolve(question: Question, answer: (error: Error | null, found: readonly Candidate[]) => void): void {
    const told = this.#owner.trace?.lookup(this.host, question, answer) ?? answer;
    this.#stopAsking.push(askWithin(this.#owner, this.#target.resolverTimeoutMs, this.#query, question, told));
  }

  connect(candidate: Candidate, done: (error: Error | null) => void): Attempt {
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
    return this.#owner.attempt(endpoint, done);
  }

  cancelAttempt(attempt: Attempt): void {
    attempt.cancel();
  }

  didWin(attempt: Attempt): void {
    this.#owner.didReach(attempt);
  }

  didLose(): void {
    this.#owner.didNotReach(this);
  }
}
