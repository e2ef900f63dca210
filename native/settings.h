// Settings of descriptors that Node-API runtimes have no call for, or make too late. They are set by descriptor, so they
// serve the sockets of the addon and those of the runtime alike.

#pragma once

#include <node_api.h>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace settings {

// src/transport/kernel-settings.ts has the same list.
enum What : int32_t {
  USER_TIMEOUT,
  KEEP_INTERVAL,
  KEEP_COUNT,
  SEND_BUFFER,
  RECEIVE_BUFFER,
  NOT_SENT_LOW_WATER,
  TRAFFIC_CLASS,
  // The port is chosen when the socket connects, not when it is bound, so that ports of one address can be used again
  // for other peers.
  LATE_PORT,
};

struct Option {
  int level;
  int name;
};

constexpr Option NONE = {-1, -1};

inline int familyOf(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0 ? AF_UNSPEC : address.ss_family;
}

// Returns NONE where the system has no such setting.
inline Option optionFor(int fd, int32_t what) {
  switch (what) {
#ifdef TCP_USER_TIMEOUT
    case USER_TIMEOUT: return {IPPROTO_TCP, TCP_USER_TIMEOUT};
#endif
#ifdef TCP_KEEPINTVL
    case KEEP_INTERVAL: return {IPPROTO_TCP, TCP_KEEPINTVL};
    case KEEP_COUNT: return {IPPROTO_TCP, TCP_KEEPCNT};
#endif
    case SEND_BUFFER: return {SOL_SOCKET, SO_SNDBUF};
    case RECEIVE_BUFFER: return {SOL_SOCKET, SO_RCVBUF};
#ifdef TCP_NOTSENT_LOWAT
    case NOT_SENT_LOW_WATER: return {IPPROTO_TCP, TCP_NOTSENT_LOWAT};
#endif
    case TRAFFIC_CLASS:
      if (familyOf(fd) != AF_INET6) return {IPPROTO_IP, IP_TOS};
      return {IPPROTO_IPV6, IPV6_TCLASS};
#ifdef IP_BIND_ADDRESS_NO_PORT
    case LATE_PORT: return {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT};
#endif
    default: return NONE;
  }
}

// Returns 0 or an errno.
inline int set(int fd, int32_t what, int value) {
  Option option = optionFor(fd, what);
  if (option.level < 0) return ENOPROTOOPT;
  // An IPv6 socket may carry IPv4 as well. Systems that do not take the IPv4 setting there do not need it.
  if (option.level == IPPROTO_IPV6) setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
  return setsockopt(fd, option.level, option.name, &value, sizeof value) < 0 ? errno : 0;
}

// Sets a list of triples: what, the value, and in third place, which is written here, the errno. Returns 0, or the
// number of an error where something was refused; what comes after that is not set.
inline int setAll(napi_env env, napi_value list, int fd) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  bool isList = napi_get_typedarray_info(env, list, &type, &length, &data, nullptr, nullptr) == napi_ok;
  if (!isList || type != napi_int32_array || length % 3 != 0) return -EINVAL;
  auto numbers = static_cast<int32_t*>(data);
  for (size_t i = 0; i < length; i += 3) {
    numbers[i + 2] = set(fd, numbers[i], numbers[i + 1]);
    if (numbers[i + 2] != 0) return -numbers[i + 2];
  }
  return 0;
}

// setOf(descriptor, list): returns 0, or the number of an error; see `setAll`
inline napi_value SetOf(napi_env env, napi_callback_info info) {
  napi_value values[2], result = nullptr;
  size_t count = 2;
  int32_t fd = -1;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  bool isRight = count == 2 && napi_get_value_int32(env, values[0], &fd) == napi_ok;
  if (!isRight) return napi_throw_type_error(env, nullptr, "Expected a descriptor and a list"), nullptr;
  napi_create_int32(env, setAll(env, values[1], fd), &result);
  return result;
}

// settingOf(descriptor, what): returns the present value, or the number of an error
inline napi_value SettingOf(napi_env env, napi_callback_info info) {
  napi_value values[2], result = nullptr;
  size_t count = 2;
  int32_t fd = -1, what = 0;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  bool isRight = count == 2 && napi_get_value_int32(env, values[0], &fd) == napi_ok &&
                 napi_get_value_int32(env, values[1], &what) == napi_ok;
  if (!isRight) return napi_throw_type_error(env, nullptr, "Expected a descriptor and a setting"), nullptr;
  Option option = optionFor(fd, what);
  int value = 0;
  socklen_t length = sizeof value;
  if (option.level < 0) value = -ENOPROTOOPT;
  else if (getsockopt(fd, option.level, option.name, &value, &length) < 0) value = -errno;
  napi_create_int32(env, value, &result);
  return result;
}

inline napi_value giveList(napi_env env, std::initializer_list<double> numbers) {
  napi_value list = nullptr, number;
  uint32_t index = 0;
  napi_create_array_with_length(env, numbers.size(), &list);
  for (double one : numbers) {
    napi_create_double(env, one, &number);
    napi_set_element(env, list, index++, number);
  }
  return list;
}

inline bool takeDescriptor(napi_env env, napi_callback_info info, int32_t* fd) {
  napi_value value;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  bool isRight = count >= 1 && napi_get_value_int32(env, value, fd) == napi_ok;
  if (!isRight) napi_throw_type_error(env, nullptr, "Expected a descriptor");
  return isRight;
}

// tcpInfoOf(descriptor): returns [round trip, its variation (both in microseconds), retransmitted segments, lost ones,
// unacknowledged ones, congestion window in segments, bytes of a segment]; undefined where that is not known
inline napi_value TcpInfoOf(napi_env env, napi_callback_info info) {
  int32_t fd = -1;
  if (!takeDescriptor(env, info, &fd)) return nullptr;
#ifdef __linux__
  tcp_info tcp{};
  socklen_t length = sizeof tcp;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &length) < 0) return nullptr;
  return giveList(env, {static_cast<double>(tcp.tcpi_rtt), static_cast<double>(tcp.tcpi_rttvar),
                        static_cast<double>(tcp.tcpi_total_retrans), static_cast<double>(tcp.tcpi_lost),
                        static_cast<double>(tcp.tcpi_unacked), static_cast<double>(tcp.tcpi_snd_cwnd),
                        static_cast<double>(tcp.tcpi_snd_mss)});
#else
  return nullptr;
#endif
}

// credentialsOf(descriptor): returns [pid, uid, gid] of the peer of a Unix-domain socket; undefined where they are not
// known
inline napi_value CredentialsOf(napi_env env, napi_callback_info info) {
  int32_t fd = -1;
  if (!takeDescriptor(env, info, &fd)) return nullptr;
#ifdef __linux__
  ucred peer{};
  socklen_t length = sizeof peer;
  if (familyOf(fd) != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return nullptr;
  return giveList(env, {static_cast<double>(peer.pid), static_cast<double>(peer.uid), static_cast<double>(peer.gid)});
#else
  return nullptr;
#endif
}

// Returns 0 if a descriptor is a stream socket that listens, else an errno: EINVAL if it does not listen.
inline int listeningProblem(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) < 0) return errno;
  if (value != SOCK_STREAM) return EPROTOTYPE;
  int family = familyOf(fd);
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) return EAFNOSUPPORT;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0) return errno;
  return value != 0 ? 0 : EINVAL;
}

// listenerOf(descriptor): returns the path of a listening Unix-domain socket, which may be empty; undefined for one with
// an IP address; the number of an error for any other descriptor
inline napi_value ListenerOf(napi_env env, napi_callback_info info) {
  int32_t fd = -1;
  if (!takeDescriptor(env, info, &fd)) return nullptr;
  napi_value result = nullptr;
  if (int problem = listeningProblem(fd)) return napi_create_int32(env, -problem, &result), result;
  sockaddr_un address{};
  socklen_t length = sizeof address;
  if (familyOf(fd) != AF_UNIX) return nullptr;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) length = 0;
  size_t head = offsetof(sockaddr_un, sun_path);
  size_t size = length > head ? std::min<size_t>(length - head, sizeof address.sun_path) : 0;
  // A path ends with a zero byte, which an abstract name begins with.
  if (size > 0 && address.sun_path[0] != '\0') size = strnlen(address.sun_path, size);
  napi_create_string_utf8(env, address.sun_path, size, &result);
  return result;
}

}  // namespace settings
