// How sockets come to a loop and leave it, as JavaScript calls it.

#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "call.h"
#include "settings.h"

namespace asyncsocket {

// connect(address, port, localAddress?, localPort, settings?): returns a connecting socket, or the number of an error,
// below 0. A port below 0 means that the address is a path. For `settings` see `settings::setAll`.
inline napi_value Connect(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string text, localText;
  int32_t port = 0, localPort = 0;
  Place peer, local;
  bool isRight = call.text(0, &text) && call.number(1, &port) && call.number(3, &localPort);
  if (!isRight || !peer.parse(text, port)) return call.fail("an address, a port and where to come from");
  bool isV4 = peer.any()->sa_family == AF_INET;
  if (!call.text(2, &localText)) localText = isV4 ? "0.0.0.0" : "::";
  bool isBound = port >= 0 && (call.has(2) || localPort > 0);
  if (isBound && !local.parse(localText, localPort)) return call.fail("a local address");
  int fd = newSocket(peer.any()->sa_family);
  if (fd < 0) return call.give(fd);
  int status = call.has(4) ? settings::setAll(env, call.values[4], fd) : 0;
  if (status == 0 && isBound) {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (localPort == 0) settings::set(fd, settings::LATE_PORT, 1);
    status = bind(fd, local.any(), local.length) < 0 ? -errno : 0;
  }
  if (status == 0 && connect(fd, peer.any(), peer.length) < 0 && errno != EINPROGRESS && errno != EINTR) status = -errno;
  return giveSocket(call, fd, status, State::CONNECTING, port < 0 ? nullptr : &peer.ip);
}

// listen(address, port, backlog, ipv6Only, reusePort, settings?): returns a listening socket, or the number of an error
inline napi_value Listen(napi_env env, napi_callback_info info) {
  Call call(env, info);
  std::string text;
  int32_t port = 0, backlog = 0;
  bool ipv6Only = false, reusePort = false;
  Place place;
  bool isRight = call.text(0, &text) && call.number(1, &port) && call.number(2, &backlog) && call.flag(3, &ipv6Only) &&
                 call.flag(4, &reusePort) && place.parse(text, port);
  if (!isRight) return call.fail("an address, a port, a backlog and two flags");
  int fd = newSocket(place.any()->sa_family);
  if (fd < 0) return call.give(fd);
  if (port >= 0) setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (place.any()->sa_family == AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6Only);
  int on = 1;
  int status = call.has(5) ? settings::setAll(env, call.values[5], fd) : 0;
  if (status == 0 && reusePort && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) status = -errno;
  if (status == 0 && bind(fd, place.any(), place.length) < 0) status = -errno;
  if (status == 0 && ::listen(fd, backlog) < 0) status = -errno;
  return giveSocket(call, fd, status, State::LISTENING, nullptr);
}

// adopt(descriptor, backlog): returns a listening socket for a descriptor that listens already, which belongs to the
// socket from then on; or the number of an error, and the caller keeps the descriptor
inline napi_value Adopt(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t fd = -1, backlog = 0;
  if (!call.number(0, &fd) || !call.number(1, &backlog)) return call.fail("a descriptor and a backlog");
  int problem = settings::listeningProblem(fd);
  if (problem != 0) return call.give(-problem);
  bool isReady = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
  if (!isReady || ::listen(fd, backlog) < 0) return call.give(-errno);
  return giveSocket(call, fd, 0, State::LISTENING, nullptr);
}

// park(socket): returns a ticket by which another thread can take the socket, which no longer belongs to this thread
inline napi_value Park(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (slot->state != State::STREAM) return call.fail("a connected socket");
  Address peer = slot->peer;
  return call.give(depot().park({call.loop->release(id), call.loop, peer}));
}

// parkCopy(descriptor): returns a ticket for a copy of the descriptor, or the number of an error. The caller keeps the
// descriptor.
inline napi_value ParkCopy(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t fd = -1;
  if (!call.number(0, &fd)) return call.fail("a descriptor");
  Address peer{};
  sockaddr_storage any{};
  socklen_t length = sizeof any;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&any), &length) < 0) return call.give(-errno);
  if (any.ss_family != AF_UNIX) std::memcpy(&peer, &any, std::min<size_t>(length, sizeof peer));
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? call.give(-errno) : call.give(depot().park({copy, call.loop, peer}));
}

// take(ticket): returns a socket of this thread, or the number of an error where the ticket was taken or dropped before
inline napi_value Take(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  if (!depot().take(ticket, &parked)) return call.give(-ENOENT);
  return giveSocket(call, parked.fd, 0, State::STREAM, &parked.peer);
}

// drop(ticket): resets the connection unless another thread has taken it. Returns 1 if it was reset, 0 otherwise.
inline napi_value Drop(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  bool isThere = depot().take(ticket, &parked);
  if (isThere) Depot::reset(parked.fd);
  return call.give(isThere ? 1 : 0);
}

// detach(socket): returns the descriptor, which belongs to the caller from then on
inline napi_value Detach(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  return call.socket(&id) == nullptr ? nullptr : call.give(call.loop->release(id));
}

// close(socket, reset): closes the descriptor, with a RST if `reset` is true
inline napi_value Close(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  bool reset = false;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.flag(1, &reset)) return call.fail("a flag");
  if (reset) Depot::reset(call.loop->release(id));
  else call.loop->close(id);
  return nullptr;
}

}  // namespace asyncsocket
