/**
 * The settings of a connection that only the operating system's own call can make, and the addon therefore. The addon
 * sets them by descriptor, so they serve connections of the addon and of `node:net` alike.
 */

import { checkInteger, wrongType } from "../base/checks.js";
import { inWords, systemError } from "../base/errno.js";
import { type AsyncSocketError, badState, socketError } from "../base/errors.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { addon, nativeProblem } from "./native/addon.js";

/**
 * Settings that the addon makes. Where there is no addon, a connect or listen that asks for one throws BAD_STATE; where
 * the system refuses one, it fails.
 */
export interface KernelOptions {
  /**
   * How many ms written bytes may stay without an acknowledgment by the peer's system until the connection is lost
   * (TCP_USER_TIMEOUT; Linux); 0 stands for the system's default. Keepalive probes without an answer end the connection
   * by it as well.
   * @default the system's: about 15 minutes on Linux
   */
  userTimeout?: number | undefined;
  /**
   * The size of the system's send buffer in bytes (SO_SNDBUF). The system then no longer adapts the size by itself, and
   * may silently give less: on Linux at most net.core.wmem_max.
   * @default the system adapts the size
   */
  sendBuffer?: number | undefined;
  /**
   * The size of the system's receive buffer in bytes (SO_RCVBUF). The system then no longer adapts the size by itself,
   * and may silently give less: on Linux at most net.core.rmem_max.
   * @default the system adapts the size
   */
  receiveBuffer?: number | undefined;
  /**
   * How many bytes the send buffer may hold that are not sent yet, before it counts as full (TCP_NOTSENT_LOWAT; Linux,
   * macOS). A small value keeps later writes from waiting behind many earlier ones, and `unsentBytes` honest.
   * @default the system's, which is no bound on Linux
   */
  notSentLowWater?: number | undefined;
  /**
   * The traffic class of sent packets, from 0 to 255 (IP_TOS, and IPV6_TCLASS for IPv6): a DSCP times 4, such as 184
   * for expedited forwarding. The lowest two bits belong to congestion notification, and Linux ignores them.
   * @default 0
   */
  trafficClass?: number | undefined;
}

/** The details of TCP keepalive, of which at least one must be given. */
export interface KeepAliveOptions {
  /** How many ms a connection must be idle before the first probe is sent. @default the system's */
  idleMs?: number | undefined;
  /** How many ms pass between two probes, in whole seconds. @default 1000 where `idleMs` is given, else the system's */
  intervalMs?: number | undefined;
  /** How many probes without an answer end the connection, from 1 to 127. @default 10 where `idleMs` is given, else the system's */
  count?: number | undefined;
}

/** `KernelOptions` and what belongs to keepalive, after the checks. What was not asked for is missing. */
export interface KernelSettings {
  readonly userTimeoutMs?: number | undefined;
  /** A multiple of 1000. */
  readonly keepAliveIntervalMs?: number | undefined;
  readonly keepAliveCount?: number | undefined;
  readonly sendBuffer?: number | undefined;
  readonly receiveBuffer?: number | undefined;
  readonly notSentLowWater?: number | undefined;
  readonly trafficClass?: number | undefined;
}

export const KERNEL_OPTIONS: OptionNames<KernelOptions> = {
  userTimeout: true,
  sendBuffer: true,
  receiveBuffer: true,
  notSentLowWater: true,
  trafficClass: true,
};

const KEEP_ALIVE_OPTIONS: OptionNames<KeepAliveOptions> = { idleMs: true, intervalMs: true, count: true };

interface Row {
  readonly setting: keyof KernelSettings;
  /** The option, for messages. */
  readonly option: string;
  readonly isOfTcp: boolean;
  /** How many of the setting's units make one of the system's. */
  readonly unit: number;
}

/** The settings, each with the index that native/settings.h knows it by. */
const SETTINGS: readonly Row[] = [
  { setting: "userTimeoutMs", option: "userTimeout", isOfTcp: true, unit: 1 },
  { setting: "keepAliveIntervalMs", option: "keepAlive.intervalMs", isOfTcp: true, unit: 1000 },
  { setting: "keepAliveCount", option: "keepAlive.count", isOfTcp: true, unit: 1 },
  { setting: "sendBuffer", option: "sendBuffer", isOfTcp: false, unit: 1 },
  { setting: "receiveBuffer", option: "receiveBuffer", isOfTcp: false, unit: 1 },
  { setting: "notSentLowWater", option: "notSentLowWater", isOfTcp: true, unit: 1 },
  { setting: "trafficClass", option: "trafficClass", isOfTcp: true, unit: 1 },
];

/** What a transport factory tells of its network. */
export interface Network {
  readonly isOfTheSystem?: boolean | undefined;
}

export const THE_SYSTEM: Network = { isOfTheSystem: true };

/** How many numbers the addon is given for a setting: its index, its value, and room for the errno. */
const TRIPLE = 3;
const INT_MAX = 2 ** 31 - 1;
/** Linux doubles the sizes of buffers. */
const BUFFER_MAX = 2 ** 30 - 1;
/** On Linux MAX_TCP_KEEPINTVL, in seconds. */
const INTERVAL_MAX_SECONDS = 32_767;
const PROBES_MAX = 127;

export function kernelSettings(options: KernelOptions): KernelSettings {
  const { userTimeout, sendBuffer, receiveBuffer, notSentLowWater, trafficClass } = options;
  return {
    ...(userTimeout !== undefined && { userTimeoutMs: checkInteger("userTimeout", userTimeout, 0, INT_MAX) }),
    ...(sendBuffer !== undefined && { sendBuffer: checkInteger("sendBuffer", sendBuffer, 1, BUFFER_MAX) }),
    ...(receiveBuffer !== undefined && { receiveBuffer: checkInteger("receiveBuffer", receiveBuffer, 1, BUFFER_MAX) }),
    ...(notSentLowWater !== undefined && {
      notSentLowWater: checkInteger("notSentLowWater", notSentLowWater, 1, INT_MAX),
    }),
    ...(trafficClass !== undefined && { trafficClass: checkInteger("trafficClass", trafficClass, 0, 255) }),
  };
}

/** Checks the details of keepalive, except for the idle time. With that time come the runtime's other two. */
export function checkProbes(name: string, options: KeepAliveOptions): KernelSettings {
  checkNames(`options of ${name}`, options, KEEP_ALIVE_OPTIONS);
  const { idleMs, intervalMs, count } = options;
  if (idleMs === undefined && intervalMs === undefined && count === undefined) {
    throw wrongType(name, "an object with idleMs, intervalMs or count", options);
  }
  const maxMs = INTERVAL_MAX_SECONDS * 1000;
  const defaults = idleMs === undefined ? {} : { keepAliveIntervalMs: 1000, keepAliveCount: 10 };
  return {
    ...defaults,
    ...(intervalMs !== undefined && {
      keepAliveIntervalMs: Math.ceil(checkInteger(`${name}.intervalMs`, intervalMs, 1, maxMs) / 1000) * 1000,
    }),
    ...(count !== undefined && { keepAliveCount: checkInteger(`${name}.count`, count, 1, PROBES_MAX) }),
  };
}

/** Refuses settings that a Unix-domain socket does not have. */
export function checkForPath(settings: KernelSettings): void {
  const wrong = SETTINGS.find(({ setting, isOfTcp }) => isOfTcp && settings[setting] !== undefined);
  if (wrong !== undefined) throw new TypeError(`Expected either path or ${wrong.option}, got both`);
}

/** The settings among these that belong to keepalive; setting the idle time sets them as well. */
export function probesOf({ keepAliveIntervalMs, keepAliveCount }: KernelSettings): KernelSettings {
  return { keepAliveIntervalMs, keepAliveCount };
}

/**
 * Checks that settings that are asked for can be made here. A network of the user's own gets them, too, and makes of
 * them what it can.
 * @throws BAD_STATE if they cannot be made
 */
export function needKernel(operation: string, settings: KernelSettings, network: Network): void {
  if (network.isOfTheSystem !== true) return;
  const first = SETTINGS.find(({ setting }) => settings[setting] !== undefined);
  if (first === undefined) return;
  const problem = nativeProblem() ?? (addon.setOf === undefined ? "the addon is of an older version" : null);
  if (problem !== null) throw badState(operation, `${first.option} needs the native addon: ${problem}`);
}

/** The settings as the addon takes them; undefined if nothing was asked for. */
export function settingsList(settings: KernelSettings): Int32Array | undefined {
  const numbers: number[] = [];
  SETTINGS.forEach(({ setting, unit }, what) => {
    const value = settings[setting];
    if (value !== undefined) numbers.push(what, value / unit, 0);
  });
  return numbers.length === 0 ? undefined : Int32Array.from(numbers);
}

/** The error for the setting of a list that the system has refused; null if it has refused none. */
export function refusalIn(list: Int32Array | undefined, operation: string): AsyncSocketError | null {
  for (let at = 0; at < (list?.length ?? 0); at += TRIPLE) {
    const [what = 0, , errno = 0] = list?.subarray(at, at + TRIPLE) ?? [];
    if (errno !== 0) return refusal(SETTINGS[what]?.option ?? "", -errno, operation);
  }
  return null;
}

function refusal(option: string, status: number, operation: string): AsyncSocketError {
  const cause = systemError(status, "setsockopt");
  const code = operation === "connect" ? "CONNECT" : operation === "listen" ? "LISTEN" : "BAD_STATE";
  return socketError(code, operation, `Cannot ${operation}: ${option} is refused: ${inWords(cause)}`, cause);
}

/** Makes settings of an open descriptor. @throws the error for the first that the system refuses */
export function setKernel(operation: string, descriptor: number, settings: KernelSettings): void {
  const list = settingsList(settings);
  if (list === undefined) return;
  needKernel(operation, settings, THE_SYSTEM);
  if (descriptor < 0) throw badState(operation, "the connection has no descriptor of the system");
  addon.setOf?.(descriptor, list);
  const error = refusalIn(list, operation);
  if (error !== null) throw error;
}
