/** The types of the public face. What is here is checked by compiling it; nothing of it is run. */

import assert from "node:assert/strict";
import type { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import {
  AsyncSocket,
  AsyncSocketError,
  type Address,
  type AsyncSocketDelegate,
  type AsyncSocketErrorCode,
  type AsyncSocketOptions,
  type CloseReason,
  type ConnectOptions,
  type DelimitedOptions,
  type FrameOptions,
  type HeadedMessage,
  type Limits,
  type LineOptions,
  type ListenOptions,
  type OperationOptions,
  type PeekOptions,
  type ReadOptions,
  type RequestKind,
  type RequestState,
  type ShutdownOptions,
  type ShutdownResult,
  type SocketRequest,
  type SocketState,
  lengthPrefixed,
  json,
} from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { expectTypeOf } from "expect-type";

type Tag = "header" | "body";
interface User {
  readonly name: string;
}
type Socket = AsyncSocket<Tag, User>;

/** Compiled, not called. */
function compiles(name: string, check: (socket: Socket) => unknown): void {
  it(name, () => assert.equal(typeof check, "function"));
}

describe("the types of settings of the kernel", () => {
  compiles("keepAlive is a time, a switch, or its details", (socket) => {
    socket.setKeepAlive({ idleMs: 5, intervalMs: undefined });
    socket.connect({ port: 1, keepAlive: { count: 5 }, userTimeout: undefined, trafficClass: 5 });
    // @ts-expect-error a name that is not known
    socket.listen({ port: 1, keepAlive: { idle: 5 } });
  });
});

describe("the types of reads", () => {
  compiles("give bytes where no encoding is asked for", (socket) => {
    expectTypeOf(socket.read()).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.read({ maxLength: 5, timeout: 3, tag: "body" })).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.read({ into: new Uint8Array(4) })).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.readExactly(4)).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.readExactly(4, { encoding: undefined })).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.readUntil("\n")).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.readUntil(["\n", Buffer.of(0), new ArrayBuffer(1)])).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.readFrame({ lengthBytes: 4 })).toEqualTypeOf<SocketRequest<Buffer>>();
    expectTypeOf(socket.peek({ length: 4 })).toEqualTypeOf<SocketRequest<Buffer>>();
  });

  compiles("give text where an encoding is asked for", (socket) => {
    expectTypeOf(socket.read({ encoding: "utf8" })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.readExactly(4, { encoding: "hex" })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.readUntil("\n", { encoding: "latin1" })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.readFrame({ lengthBytes: 4, encoding: "utf8" })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.peek({ length: 4, encoding: "base64" })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.readLine()).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.readLine({ repeat: true })).toEqualTypeOf<SocketRequest<number>>();
    expectTypeOf(socket.readLine({ repeat: false })).toEqualTypeOf<SocketRequest<string>>();
    expectTypeOf(socket.read({ repeat: true, encoding: "utf8" })).toEqualTypeOf<SocketRequest<number>>();
    expectTypeOf(socket.readExactly(4, { repeat: true })).toEqualTypeOf<SocketRequest<number>>();
    expectTypeOf(socket.readUntil("\n", { repeat: true })).toEqualTypeOf<SocketRequest<number>>();
    expectTypeOf(socket.readFrame({ lengthBytes: 4, repeat: true })).toEqualTypeOf<SocketRequest<number>>();
    expectTypeOf(socket.readMessage(json(), { repeat: true })).toEqualTypeOf<SocketRequest<number>>();
    // @ts-expect-error peek takes nothing, and would repeat for ever
    socket.peek({ length: 1, repeat: true });
    expectTypeOf(socket.readLine({ encoding: "latin1" })).toEqualTypeOf<SocketRequest<string>>();
  });

  compiles("give nothing where bytes are dropped", (socket) => {
    expectTypeOf(socket.skip(4)).toEqualTypeOf<SocketRequest<undefined>>();
    expectTypeOf(socket.cancelReads()).toEqualTypeOf<number>();
  });

  compiles("are those of the awaited values", async (socket) => {
    expectTypeOf(await socket.readExactly(4)).toEqualTypeOf<Buffer>();
    expectTypeOf(await socket.readLine()).toEqualTypeOf<string>();
    for await (const line of socket.lines({ maxLength: 9 })) expectTypeOf(line).toEqualTypeOf<string>();
    for await (const frame of socket.frames({ lengthBytes: 2 })) expectTypeOf(frame).toEqualTypeOf<Buffer>();
    for await (const bytes of socket) expectTypeOf(bytes).toEqualTypeOf<Buffer>();
    for await (const accepted of socket.connections()) expectTypeOf(accepted).toEqualTypeOf<Socket>();
  });
});

describe("the types of the other calls", () => {
  compiles("are requests for what they come to", (socket) => {
    expectTypeOf(socket.write("x")).toEqualTypeOf<SocketRequest<void>>();
    expectTypeOf(socket.write(["x", Buffer.of(1), new DataView(new ArrayBuffer(1))])).toEqualTypeOf<
      SocketRequest<void>
    >();
    expectTypeOf(socket.end()).toEqualTypeOf<SocketRequest<void>>();
    expectTypeOf(socket.disconnect()).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.disconnectAfterReading()).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.disconnectAfterWriting()).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.disconnectAfterReadingAndWriting()).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.reset()).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.closed).toEqualTypeOf<SocketRequest<CloseReason>>();
    expectTypeOf(socket.shutdown({ graceMs: 1 })).toEqualTypeOf<SocketRequest<ShutdownResult>>();
    socket.shutdown({ goodbye: (accepted) => expectTypeOf(accepted).toEqualTypeOf<Socket>() });
    expectTypeOf(socket.connect({ port: 1 })).toEqualTypeOf<SocketRequest<Socket>>();
    expectTypeOf(socket.listen({ port: 1 })).toEqualTypeOf<SocketRequest<Socket>>();
  });

  compiles("carry what the caller's tags and data are", (socket) => {
    expectTypeOf(socket.userData).toEqualTypeOf<User | undefined>();
    expectTypeOf(socket.delegate).toEqualTypeOf<AsyncSocketDelegate<Tag, User> | null>();
    expectTypeOf(AsyncSocket.connect<Tag, User>({ port: 1 })).toEqualTypeOf<SocketRequest<Socket>>();
    expectTypeOf(AsyncSocket.listen<Tag, User>({ port: 1 })).toEqualTypeOf<SocketRequest<Socket>>();
    expectTypeOf(AsyncSocket.connect({ port: 1, userData: { name: "x" } })).resolves.toExtend<
      AsyncSocket<unknown, { name: string }>
    >();
    const from = (stream: PassThrough): Socket => AsyncSocket.from<Tag, User>(stream);
    expectTypeOf(from).returns.toEqualTypeOf<Socket>();
    expectTypeOf(new AsyncSocket()).toEqualTypeOf<AsyncSocket>();
  });

  compiles("show what can be seen of a socket", (socket) => {
    expectTypeOf(socket.state).toEqualTypeOf<SocketState>();
    expectTypeOf<SocketState>().toEqualTypeOf<"idle" | "connecting" | "listening" | "open" | "closing" | "closed">();
    expectTypeOf(socket.local).toEqualTypeOf<Address | undefined>();
    expectTypeOf(socket.port).toEqualTypeOf<number | undefined>();
    for (const accepted of socket.sockets) expectTypeOf(accepted).toEqualTypeOf<Socket>();
    expectTypeOf(socket.remote).toEqualTypeOf<Address | undefined>();
    expectTypeOf(socket.unread).toEqualTypeOf<Buffer>();
    expectTypeOf(socket.currentRead).toEqualTypeOf<SocketRequest<unknown> | undefined>();
    expectTypeOf(socket.closeReason).toEqualTypeOf<CloseReason | undefined>();
    for (const count of [socket.id, socket.bytesRead, socket.bytesWritten, socket.unreadBytes, socket.unsentBytes]) {
      expectTypeOf(count).toEqualTypeOf<number>();
    }
    expectTypeOf(socket).toExtend<AsyncDisposable>();
    expectTypeOf(socket).toExtend<AsyncIterable<Buffer>>();
  });
});

describe("the types of built-in framings", () => {
  compiles("tell what a message with a length before it is read as, and written as", (socket) => {
    const bare = lengthPrefixed({ lengthBytes: 4, littleEndian: true });
    expectTypeOf(socket.readMessage(bare)).toEqualTypeOf<SocketRequest<Buffer>>();
    const headed = lengthPrefixed({ headerBytes: 5, length: (header) => header.readInt32BE(1) - 4 });
    expectTypeOf(socket.readMessage(headed)).toEqualTypeOf<SocketRequest<HeadedMessage>>();
    socket.writeMessage(headed, { header: Buffer.alloc(5), body: ["a", "b"] });
    // @ts-expect-error a body without its header
    socket.writeMessage(headed, "ab");
    // @ts-expect-error a length field, or a header
    lengthPrefixed({ lengthBytes: 4, headerBytes: 5, length: () => 1 });
    // @ts-expect-error no function for the length
    lengthPrefixed({ headerBytes: 5 });
  });
});

describe("the type of a request", () => {
  compiles("is that of a promise, and more", (socket) => {
    expectTypeOf<SocketRequest<Buffer>>().toExtend<Promise<Buffer>>();
    expectTypeOf<SocketRequest<void>>().toExtend<PromiseLike<void>>();
    const asPromise: Promise<Buffer> = socket.read();
    expectTypeOf(asPromise).resolves.toEqualTypeOf<Buffer>();
    expectTypeOf(Promise.all([socket.read(), socket.readLine()])).resolves.toEqualTypeOf<[Buffer, string]>();
    expectTypeOf(socket.read().then((data) => data.length)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(socket.read().then(null, () => "failed")).toEqualTypeOf<Promise<Buffer | string>>();
    expectTypeOf(socket.read().catch(() => null)).toEqualTypeOf<Promise<Buffer | null>>();
    expectTypeOf(socket.read().finally(() => undefined)).toEqualTypeOf<Promise<Buffer>>();
  });

  compiles("tells of its progress", (socket) => {
    const request = socket.read();
    expectTypeOf(request.kind).toEqualTypeOf<RequestKind>();
    expectTypeOf(request.state).toEqualTypeOf<RequestState>();
    expectTypeOf<RequestState>().toEqualTypeOf<"queued" | "current" | "done" | "failed" | "canceled">();
    expectTypeOf(request.tag).toEqualTypeOf<unknown>();
    expectTypeOf(request.bytesDone).toEqualTypeOf<number>();
    expectTypeOf(request.bytesTotal).toEqualTypeOf<number | undefined>();
    expectTypeOf(request.cancel()).toEqualTypeOf<boolean>();
    expectTypeOf(request.extend(5)).toEqualTypeOf<boolean>();
  });
});

describe("the type of a delegate", () => {
  type Delegate = Required<AsyncSocketDelegate<Tag, User>>;

  compiles("names what its methods are given", () => {
    type MaybeTag = Tag | undefined;
    expectTypeOf<Delegate["didAccept"]>().toEqualTypeOf<(listener: Socket, socket: Socket) => void>();
    expectTypeOf<Delegate["didConnect"]>().toEqualTypeOf<(socket: Socket) => void>();
    expectTypeOf<Delegate["didRead"]>().toEqualTypeOf<(socket: Socket, data: Buffer, tag: MaybeTag) => void>();
    expectTypeOf<Delegate["didReadText"]>().toEqualTypeOf<(socket: Socket, text: string, tag: MaybeTag) => void>();
    expectTypeOf<Delegate["didReadPartial"]>().toEqualTypeOf<(socket: Socket, count: number, tag: MaybeTag) => void>();
    expectTypeOf<Delegate["didWrite"]>().toEqualTypeOf<(socket: Socket, tag: MaybeTag) => void>();
    expectTypeOf<Delegate["didWritePartial"]>().toEqualTypeOf<Delegate["didReadPartial"]>();
    expectTypeOf<Delegate["shouldExtendReadTimeout"]>().toEqualTypeOf<
      (socket: Socket, tag: MaybeTag, elapsed: number, bytesDone: number) => number
    >();
    expectTypeOf<Delegate["shouldExtendWriteTimeout"]>().toEqualTypeOf<Delegate["shouldExtendReadTimeout"]>();
    expectTypeOf<Delegate["didFailRead"]>().toEqualTypeOf<
      (socket: Socket, error: AsyncSocketError, tag: MaybeTag) => void
    >();
    expectTypeOf<Delegate["didFailWrite"]>().toEqualTypeOf<Delegate["didFailRead"]>();
    expectTypeOf<Delegate["didEndReading"]>().toEqualTypeOf<(socket: Socket) => void>();
    expectTypeOf<Delegate["willDisconnect"]>().toEqualTypeOf<(socket: Socket, reason: CloseReason) => void>();
    expectTypeOf<Delegate["didDisconnect"]>().toEqualTypeOf<(socket: Socket, reason: CloseReason) => void>();
  });

  compiles("may be an object with any of the methods, written in place, or an instance", () => {
    class Session {
      didRead(socket: Socket, data: Buffer): void {
        socket.write(data, { tag: "body" });
      }
    }
    new AsyncSocket<Tag, User>({ delegate: new Session() });
    new AsyncSocket<Tag, User>({ delegate: {} });
    new AsyncSocket<Tag, User>({ delegate: null });
    new AsyncSocket<Tag, User>({
      delegate: {
        didRead(socket, data, tag) {
          expectTypeOf(socket).toEqualTypeOf<Socket>();
          expectTypeOf(data).toEqualTypeOf<Buffer>();
          expectTypeOf(tag).toEqualTypeOf<Tag | undefined>();
        },
      },
    });
  });

  compiles("does not hold methods that do not fit", () => {
    // @ts-expect-error the text of a read goes to didReadText
    new AsyncSocket({ delegate: { didRead: (_: AsyncSocket, text: string): unknown => text } });
    // @ts-expect-error no such method
    new AsyncSocket({ delegate: { didReceive: () => {} } });
    // @ts-expect-error an extension is a number
    new AsyncSocket({ delegate: { shouldExtendReadTimeout: () => true } });
  });
});

describe("the types of accepted sockets", () => {
  class Client {
    room = "lobby";
    constructor(readonly address: Address | undefined) {}
  }

  compiles("know the user data that userDataFor makes", async () => {
    const listener = await AsyncSocket.listen({
      port: 1,
      userDataFor: (info) => new Client(info.remote),
      delegate: {
        didAccept(who, socket) {
          expectTypeOf(who.userData).toEqualTypeOf<Client | undefined>();
          expectTypeOf(socket.userData).toEqualTypeOf<Client>();
          socket.userData.room = "kitchen";
        },
        didRead(socket, data) {
          expectTypeOf(data).toEqualTypeOf<Buffer>();
          expectTypeOf(socket.userData.room).toEqualTypeOf<string>();
        },
        didReadText: (socket) => expectTypeOf(socket.userData).toEqualTypeOf<Client>(),
        didEndReading: (socket) => expectTypeOf(socket.userData).toEqualTypeOf<Client>(),
        // The listener's own end is reported here, too.
        didDisconnect: (socket) => expectTypeOf(socket.userData).toEqualTypeOf<Client | undefined>(),
      },
    });
    expectTypeOf(listener.userData).toEqualTypeOf<Client | undefined>();
    for await (const socket of listener.connections()) expectTypeOf(socket.userData).toEqualTypeOf<Client>();
    for (const socket of listener.sockets) expectTypeOf(socket.userData).toEqualTypeOf<Client>();
    listener.shutdown({ goodbye: (socket) => expectTypeOf(socket.userData).toEqualTypeOf<Client>() });
    expectTypeOf(listener.port).toEqualTypeOf<number | undefined>();
  });

  compiles("know it with the constructor, and with types that are given", () => {
    new AsyncSocket({
      userDataFor: () => ({ name: "x" }),
      delegate: { didRead: (socket) => expectTypeOf(socket.userData).toEqualTypeOf<{ name: string }>() },
    });
    new AsyncSocket<Tag, User>({
      userDataFor: () => ({ name: "x" }),
      delegate: {
        didRead(socket, _data, tag) {
          expectTypeOf(tag).toEqualTypeOf<Tag | undefined>();
          expectTypeOf(socket.userData).toEqualTypeOf<User>();
        },
      },
    });
    // @ts-expect-error user data of another kind
    new AsyncSocket<Tag, User>({ userDataFor: () => 5 });
    // @ts-expect-error not user data, but what makes it
    new AsyncSocket<Tag, User>({ userDataFor: { name: "x" } });
  });

  class Chat extends AsyncSocket<Tag, User> {
    nick = "nobody";
  }

  compiles("are of the class of one's own that listens or connects", async () => {
    const listener = await Chat.listen({
      port: 1,
      delegate: {
        didAccept(who, socket) {
          expectTypeOf(who).toEqualTypeOf<Chat>();
          expectTypeOf(socket).toEqualTypeOf<Chat>();
          socket.nick = "somebody";
        },
        didRead(socket, _data, tag) {
          expectTypeOf(socket).toEqualTypeOf<Chat>();
          expectTypeOf(tag).toEqualTypeOf<Tag | undefined>();
        },
        didDisconnect: (socket) => expectTypeOf(socket).toEqualTypeOf<Chat>(),
      },
    });
    expectTypeOf(listener).toEqualTypeOf<Chat>();
    for await (const socket of listener.connections()) expectTypeOf(socket).toEqualTypeOf<Chat>();
    for (const socket of listener.sockets) expectTypeOf(socket).toEqualTypeOf<Chat>();
    expectTypeOf(Chat.connect({ port: 1 })).toEqualTypeOf<SocketRequest<Chat>>();
    expectTypeOf(Chat.connect({ port: 1, userData: { name: "x" } })).toEqualTypeOf<SocketRequest<Chat>>();
    expectTypeOf(new Chat().connect({ port: 1 })).toEqualTypeOf<SocketRequest<Chat>>();
    // @ts-expect-error no such option
    void Chat.listen({ port: 1, backlogs: 5 });
  });

  compiles("may say that they always have user data", () => {
    class Member extends AsyncSocket<Tag, User> {
      declare userData: User;
    }
    return Member.listen({
      port: 1,
      userDataFor: () => ({ name: "x" }),
      delegate: { didAccept: (_who, socket) => expectTypeOf(socket.userData).toEqualTypeOf<User>() },
    });
  });

  compiles("are of a class without types of its own, too", () => {
    class Plain extends AsyncSocket {
      nick = "nobody";
    }
    expectTypeOf(Plain.connect({ port: 1 })).toEqualTypeOf<SocketRequest<Plain>>();
    return Plain.listen({ port: 1, delegate: { didAccept: (_who, socket) => void (socket.nick = "x") } });
  });
});

describe("the type of a close reason", () => {
  compiles("tells by `by` whether there is an error", () => {
    const check = (reason: CloseReason): void => {
      expectTypeOf(reason.by).toEqualTypeOf<"local" | "remote" | "error">();
      expectTypeOf(reason.error).toEqualTypeOf<AsyncSocketError | null>();
      if (reason.by === "error") expectTypeOf(reason.error).toEqualTypeOf<AsyncSocketError>();
      else expectTypeOf(reason.error).toEqualTypeOf<null>();
      expectTypeOf(reason.unread).toEqualTypeOf<Buffer>();
      expectTypeOf(reason.unsentBytes).toEqualTypeOf<number>();
    };
    return check;
  });

  compiles("holds errors whose codes are known", () => {
    const check = (error: unknown): void => {
      if (!(error instanceof AsyncSocketError)) return;
      expectTypeOf(error.code).toEqualTypeOf<AsyncSocketErrorCode>();
      expectTypeOf(error.partial).toEqualTypeOf<Buffer | undefined>();
      expectTypeOf(error.bytesDone).toEqualTypeOf<number>();
      // @ts-expect-error no such code
      assert.notEqual(error.code === "ERR_ASYNCSOCKET_TIMEOUT", true);
    };
    return check;
  });
});

/** Every optional property also takes `undefined`, though `exactOptionalPropertyTypes` is on. */
type TakesUndefined<T> = {
  [K in keyof T as object extends Pick<T, K> ? K : never]-?: Record<K, undefined> extends Pick<T, K> ? true : K;
};
type Refusing<T> = Exclude<TakesUndefined<T>[keyof TakesUndefined<T>], true>;

describe("every option", () => {
  compiles("takes undefined", () => {
    expectTypeOf<Refusing<{ a?: string; b?: number | undefined }>>().toEqualTypeOf<"a">();
    expectTypeOf<Refusing<AsyncSocketOptions>>().toBeNever();
    expectTypeOf<Refusing<ConnectOptions>>().toBeNever();
    expectTypeOf<Refusing<ListenOptions>>().toBeNever();
    expectTypeOf<Refusing<Limits>>().toBeNever();
    expectTypeOf<Refusing<OperationOptions>>().toBeNever();
    expectTypeOf<Refusing<ReadOptions>>().toBeNever();
    expectTypeOf<Refusing<DelimitedOptions>>().toBeNever();
    expectTypeOf<Refusing<LineOptions>>().toBeNever();
    expectTypeOf<Refusing<FrameOptions>>().toBeNever();
    expectTypeOf<Refusing<PeekOptions>>().toBeNever();
    expectTypeOf<Refusing<ShutdownOptions>>().toBeNever();
  });

  compiles("is refused where it means nothing", (socket) => {
    // @ts-expect-error there is no such option
    socket.read({ length: 4 });
    // @ts-expect-error a line is always text
    socket.readLine({ into: new Uint8Array(4) });
    // @ts-expect-error a write fails as a whole
    socket.write("x", { onFailure: "continue" });
    // @ts-expect-error no such policy
    socket.read({ onFailure: "close" });
    // @ts-expect-error no such encoding
    socket.read({ encoding: "utf-7" });
    // @ts-expect-error times are numbers
    socket.read({ timeout: "5s" });
    // @ts-expect-error no such tag
    socket.read({ tag: "trailer" });
    // @ts-expect-error no such tag
    socket.write("x", { tag: 5 });
    // @ts-expect-error no such limit
    new AsyncSocket({ limits: { readAhed: 5 } });
    // @ts-expect-error no such transport
    new AsyncSocket({ transport: "udp" });
    // @ts-expect-error user data of another kind
    new AsyncSocket<Tag, User>({ userData: 5 });
  });
});

describe("what must not compile", () => {
  compiles("does not", (socket) => {
    // @ts-expect-error a length is needed
    socket.readExactly();
    // @ts-expect-error a delimiter is needed
    socket.readUntil();
    // @ts-expect-error the size of the length field is needed
    socket.readFrame({});
    // @ts-expect-error a length is needed
    socket.peek({});
    // @ts-expect-error something to write is needed
    socket.write();
    // @ts-expect-error numbers are no bytes
    socket.write(5);
    // @ts-expect-error lists are flat
    socket.write([["x"]]);
    // @ts-expect-error a socket is no event emitter
    assert.ok(socket.on);
    // @ts-expect-error a socket cannot be awaited, its requests can
    assert.ok(socket.then);
    // @ts-expect-error it is read-only
    socket.state = "open";
    // @ts-expect-error it is read-only
    socket.id = 5;
    // @ts-expect-error where to connect to is needed
    socket.connect();
    // @ts-expect-error internals are not shown
    assert.ok(socket._connection);
  });
});

describe("the types for tests", () => {
  compiles("fit those of sockets", () => {
    const network = new MemoryNetwork({ clock: new VirtualClock(), chunkBytes: () => 3, capacityBytes: undefined });
    return new AsyncSocket({ transport: network });
  });
});
