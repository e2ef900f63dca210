// The readiness interface of the system: epoll on Linux, kqueue elsewhere.

#pragma once

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <sys/event.h>
#endif

namespace asyncsocket {

constexpr int READY_MAX = 128;

constexpr unsigned OFF = 0, READ = 1, WRITE = 2, HANGUP = 4, BROKEN = 8, WATCHED = 16;

struct Ready {
  int32_t id;
  // Tells the sockets apart that have had this number one after the other.
  uint32_t generation;
  unsigned what;
};

inline uint64_t packed(int32_t id, uint32_t generation) { return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(id); }

inline Ready unpacked(uint64_t data, unsigned what) {
  return {static_cast<int32_t>(data & UINT32_MAX), static_cast<uint32_t>(data >> 32), what};
}

#ifdef __linux__
class Poller {
 public:
  int open() { return fd_ = epoll_create1(EPOLL_CLOEXEC), fd_ < 0 ? -errno : fd_; }
  void close() { ::close(fd_); }

  // The events are level-triggered. A socket that is watched for neither reading nor writing still reports a failure.
  int set(int fd, uint64_t who, unsigned before, unsigned wanted) {
    epoll_event event{};
    event.data.u64 = who;
    if (wanted & READ) event.events |= EPOLLIN;
    if (wanted & WRITE) event.events |= EPOLLOUT;
    int operation = before == OFF ? EPOLL_CTL_ADD : wanted == OFF ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    return epoll_ctl(fd_, operation, fd, &event) < 0 ? -errno : 0;
  }

  int wait(Ready* ready) {
    epoll_event events[READY_MAX];
    int count = epoll_wait(fd_, events, READY_MAX, 0);
    for (int i = 0; i < count; i++) {
      unsigned what = 0;
      if (events[i].events & EPOLLIN) what |= READ;
      if (events[i].events & EPOLLOUT) what |= WRITE;
      if (events[i].events & EPOLLHUP) what |= HANGUP;
      if (events[i].events & EPOLLERR) what |= BROKEN;
      ready[i] = unpacked(events[i].data.u64, what);
    }
    return count;
  }

 private:
  int fd_ = -1;
};
#else
static_assert(sizeof(void*) == 8, "an event carries a pointer's worth of data");

class Poller {
 public:
  int open() { return fd_ = kqueue(), fd_ < 0 ? -errno : fd_; }
  void close() { ::close(fd_); }

  int set(int fd, uint64_t who, unsigned before, unsigned wanted) {
    struct kevent changes[2];
    int count = 0;
    void* data = reinterpret_cast<void*>(static_cast<uintptr_t>(who));
    if ((before ^ wanted) & READ) EV_SET(&changes[count++], fd, EVFILT_READ, wanted & READ ? EV_ADD : EV_DELETE, 0, 0, data);
    if ((before ^ wanted) & WRITE) EV_SET(&changes[count++], fd, EVFILT_WRITE, wanted & WRITE ? EV_ADD : EV_DELETE, 0, 0, data);
    return kevent(fd_, changes, count, nullptr, 0, nullptr) < 0 ? -errno : 0;
  }

  int wait(Ready* ready) {
    struct kevent events[READY_MAX];
    timespec now{};
    int count = kevent(fd_, nullptr, 0, events, READY_MAX, &now);
    for (int i = 0; i < count; i++) {
      unsigned what = events[i].filter == EVFILT_READ ? READ : WRITE;
      if (events[i].flags & EV_EOF) what |= HANGUP;
      ready[i] = unpacked(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(events[i].udata)), what);
    }
    return count;
  }

 private:
  int fd_ = -1;
};
#endif

}  // namespace asyncsocket
