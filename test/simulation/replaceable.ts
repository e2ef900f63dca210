import type { AsyncSocket, AsyncSocketDelegate } from "asyncsocket";

type Method = (this: AsyncSocketDelegate, socket: AsyncSocket, ...rest: unknown[]) => unknown;

/** The same delegate, which minds being told of a socket whose delegate it is not, or not any more. */
export function replaceable(delegate: AsyncSocketDelegate, fail: (what: string) => void): AsyncSocketDelegate {
  const methods = Object.entries(delegate) as [string, Method][];
  const result: AsyncSocketDelegate = Object.fromEntries(
    methods.map(([name, method]): [string, Method] => [
      name,
      function (socket, ...rest) {
        if (socket.delegate !== result) fail(`${name} told a delegate that was replaced`);
        if (this !== result) fail(`${name} was called with another this`);
        return method.call(this, socket, ...rest);
      },
    ]),
  );
  return result;
}
