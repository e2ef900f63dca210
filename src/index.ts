export type { Address, ProxiedAddresses } from "./address.js";
export { AsyncSocket } from "./async-socket.js";
export type { CloseReason } from "./close-reason.js";
export type { AcceptInfo, AsyncSocketDelegate } from "./delegate.js";
export { AsyncSocketError, type AsyncSocketErrorCode } from "./errors.js";
export type {
  AddressFilter,
  AsyncSocketOptions,
  Bytes,
  ConnectOptions,
  DataOptions,
  DelimitedOptions,
  FrameOptions,
  Limits,
  LineOptions,
  ListenOptions,
  MoveOptions,
  OperationOptions,
  PeekOptions,
  ReadingOptions,
  ReadOptions,
  ShutdownOptions,
  ShutdownResult,
  TcpOptions,
  WebStreams,
  WithEncoding,
  WithoutEncoding,
} from "./options.js";
export type { Arrival, SocketHandler } from "./loops/host.js";
export { RunLoopPool, type PoolChooser, type PoolPolicy } from "./loops/pool.js";
export { reconnect, type Connector, type ReconnectOptions } from "./reconnect.js";
export { SocketRequest, type RequestKind, type RequestState } from "./request.js";
export {
  RunLoop,
  type RunLoopEnd,
  type RunLoopOptions,
  type RunLoopPoolOptions,
  type RunLoopState,
} from "./run-loop.js";
export type { SocketState, SocketSummary } from "./socket-view.js";
export type { Certificate, CertificateChooser, StartTLSOptions, TLSInfo, TLSOptions } from "./tls/options.js";
export type { Clock, Timer } from "./clock.js";
export type { Endpoint, ListenTarget, SocketSettings } from "./options.js";
export type { SecureInfo } from "./tls/info.js";
export type { SecureSettings } from "./tls/settings.js";
export type { ResolveSrv } from "./connect/srv.js";
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
