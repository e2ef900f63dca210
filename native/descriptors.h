// Addresses of sockets, and what is asked of a descriptor.

#pragma once

#include <uv.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#ifdef __linux__
#include <linux/sockios.h>
#endif

namespace asyncsocket {

#ifdef MSG_NOSIGNAL
constexpr int SEND_FLAGS = MSG_NOSIGNAL;
#else
constexpr int SEND_FLAGS = 0;
#endif

// The address of an IP socket. Each socket stores its peer's.
union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

struct Place {
  union {
    Address ip;
    sockaddr_un path;
  };
  socklen_t length = 0;

  const sockaddr* any() const { return &ip.any; }

  // A port below 0 means that the text is a path; a path that begins with a zero byte is an abstract name (Linux).
  bool parse(const std::string& text, int port) {
    std::memset(&path, 0, sizeof path);
    if (port < 0) {
      if (text.empty() || text.size() >= sizeof path.sun_path) return false;
      path.sun_family = AF_UNIX;
      std::memcpy(path.sun_path, text.data(), text.size());
      length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (text[0] == '\0' ? 0 : 1));
      return true;
    }
    bool isV4 = text.find(':') == std::string::npos;
    length = isV4 ? sizeof ip.v4 : sizeof ip.v6;
    return (isV4 ? uv_ip4_addr(text.c_str(), port, &ip.v4) : uv_ip6_addr(text.c_str(), port, &ip.v6)) == 0;
  }
};

#ifndef __linux__
inline int prepare(int fd) {
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) return -errno;
  return fd;
}
#endif

inline int newSocket(int family) {
#ifdef __linux__
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? -errno : fd;
#else
  int fd = socket(family, SOCK_STREAM, 0);
  return fd < 0 ? -errno : prepare(fd);
#endif
}

inline int acceptFrom(int listener, Address* peer) {
  socklen_t length = sizeof *peer;
  std::memset(peer, 0, sizeof *peer);
#ifdef __linux__
  int fd = accept4(listener, &peer->any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return fd < 0 ? -errno : fd;
#else
  int fd = accept(listener, &peer->any, &length);
  return fd < 0 ? -errno : prepare(fd);
#endif
}

inline void setOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

// Below 0 keepalive is off; 0 keeps the system's own delay. Interval and count are those of the runtime's own sockets.
inline void setKeepAlive(int fd, int idleSeconds) {
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, idleSeconds >= 0);
  if (idleSeconds <= 0) return;
#ifdef TCP_KEEPIDLE
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, idleSeconds);
#elif defined(TCP_KEEPALIVE)
  setOption(fd, IPPROTO_TCP, TCP_KEEPALIVE, idleSeconds);
#endif
#ifdef TCP_KEEPINTVL
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
#endif
}

inline int errorOf(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
  return error;
}

// Whether the connection is over in both directions, so that reading will meet an end or an error.
inline bool isOver(int fd) {
  pollfd one{fd, 0, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

// How many sent bytes the peer's system has not acknowledged; 0 where the system does not reveal that.
inline int sendQueue(int fd) {
  int count = 0;
#ifdef __linux__
  if (ioctl(fd, SIOCOUTQ, &count) < 0) return 0;
#elif defined(SO_NWRITE)
  socklen_t length = sizeof count;
  if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &count, &length) < 0) return 0;
#endif
  return std::max(count, 0);
}

}  // namespace asyncsocket
