// Connections on their way from one thread to another.

#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "descriptors.h"

namespace asyncsocket {

// Connections that move from one thread to another are parked under a ticket. The thread that takes the ticket owns the
// descriptor; a ticket can be taken once. A connection that nobody takes is reset when the thread that parked it ends.
struct Parked {
  int fd;
  const void* by;
  Address peer;
};

class Depot {
 public:
  int32_t park(const Parked& parked) {
    std::lock_guard<std::mutex> lock(mutex_);
    do last_ = last_ == INT32_MAX ? 0 : last_ + 1;
    while (all_.count(last_) > 0);
    all_[last_] = parked;
    return last_;
  }

  bool take(int32_t ticket, Parked* parked) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = all_.find(ticket);
    if (found == all_.end()) return false;
    *parked = found->second;
    all_.erase(found);
    return true;
  }

  void dropOf(const void* by) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto at = all_.begin(); at != all_.end();) {
      if (at->second.by == by) reset(at->second.fd), at = all_.erase(at);
      else ++at;
    }
  }

  static void reset(int fd) {
    linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<int32_t, Parked> all_;
  int32_t last_ = 0;
};

// One for the process. It is never destroyed, since threads may end after the destructors of the process have run.
inline Depot& depot() {
  static auto the = new Depot();
  return *the;
}

}  // namespace asyncsocket
