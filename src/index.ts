export type { Address, ProxiedAddresses } from "./base/address.js";
export {
  AsyncSocket,
  type AcceptedSocket,
  type AcceptingOptions,
  type AcceptingSocket,
  type AsyncSocketDelegate,
  type AsyncSocketOptions,
  type OwnOptions,
  type SocketClass,
} from "./socket/async-socket.js";
export type { SocketState, SocketSummary } from "./socket/inspect.js";
export type { SocketDuplex } from "./socket/socket-duplex.js";
export type { CloseReason } from "./connection/close-reason.js";
export type { AcceptInfo, SocketDelegate } from "./connection/delegate.js";
export { AsyncSocketError, type AsyncSocketErrorCode } from "./base/errors.js";
export type { AddressFilter, GraceOptions, ListenOptions, ShutdownOptions, ShutdownResult } from "./listen/options.js";
export type { MoveOptions, SocketOptions, WebStreams } from "./socket/options.js";
export type { AsyncValues } from "./base/async-values.js";
export type { Bytes } from "./base/checks.js";
export { fixed } from "./framing/fixed.js";
export type { Framing, MessageFraming } from "./framing/framing.js";
export type { HeadedMessage, HeadedValue, HeaderPrefix } from "./framing/header-prefixed.js";
export { json } from "./framing/json.js";
export { lengthPrefixed, type LengthPrefix } from "./framing/length-prefixed.js";
export { line, type LineFramingOptions } from "./framing/line.js";
export { netstring } from "./framing/netstring.js";
export { delimited } from "./framing/until.js";
export { varint, type VarintOptions } from "./framing/varint.js";
export type { ConnectOptions } from "./connect/options.js";
export type { ResolvedAddresses, Resolver, ResolverFunction } from "./connect/resolver.js";
export type { ProxyOptions } from "./connect/proxy/options.js";
export type { ProxyHeaderOptions, SentTLS, SentTLVs } from "./connect/proxy-header.js";
export type { ProxiedTLS, ProxiedTLVs } from "./base/proxy-tlvs.js";
export type {
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  LineOptions,
  MessageOptions,
  OperationOptions,
  PeekOptions,
  ReadingOptions,
  ReadOptions,
  Repeating,
  WithEncoding,
  WithoutEncoding,
} from "./socket/read-options.js";
export type { FrameWriteOptions, LineWriteOptions } from "./socket/write-options.js";
export type {
  AcceptMessage,
  BytesMessage,
  CloseMessage,
  ConnectMessage,
  EntryMessage,
  ListenMessage,
  MoveMessage,
  NameLookup,
  RefuseMessage,
  SecureMessage,
  TimeoutMessage,
  TriedAddress,
} from "./base/channels.js";
export {
  openSockets,
  snapshot,
  type EntrySnapshot,
  type LimitSnapshot,
  type SocketSnapshot,
} from "./socket/snapshot.js";
export type { Limits } from "./base/limits.js";
export { nativeStatus, type NativeStatus, type TransportChoice } from "./transport/choose.js";
export type { PeerCredentials, TcpInfo } from "./transport/kernel-facts.js";
export type { KeepAliveOptions, KernelOptions, KernelSettings } from "./transport/kernel-settings.js";
export type { TcpOptions } from "./transport/options.js";
export type { Arrival, SocketHandler } from "./threads/inbox.js";
export type { Destination } from "./connection/destination.js";
export { reconnect, type Connector, type ReconnectOptions } from "./socket/reconnect.js";
export { relay, type RelayOptions, type RelayResult } from "./socket/relay.js";
export { SocketRequest, type RequestKind, type RequestState } from "./base/request.js";
export {
  RunLoop,
  RunLoopPool,
  type PoolChooser,
  type PoolPolicy,
  type RunLoopEnd,
  type RunLoopPoolOptions,
} from "./threads/run-loop.js";
export type { RunLoopState } from "./threads/loop.js";
export type { RunLoopSnapshot } from "./threads/looks.js";
export type { RunLoopOptions } from "./threads/worker.js";
export type { Certificate, CertificateChooser, StartTLSOptions, TLSInfo, TLSOptions } from "./tls/options.js";
export type { Clock, Timer } from "./base/clock.js";
export type { Endpoint, ListenTarget, SocketSettings } from "./transport/options.js";
export type { SecureInfo } from "./tls/info.js";
export type { SecureSettings } from "./tls/settings.js";
export type { ResolveSrv } from "./transport/transport.js";
export type {
  AcceptedTransport,
  ConnectSink,
  ListenerSink,
  SecureSink,
  Transport,
  TransportFactory,
  TransportListener,
  TransportSink,
} from "./transport/transport.js";
