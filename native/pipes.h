// Pipes through which the system moves bytes from one socket to another without copying them. Linux has them.

#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace asyncsocket {

struct Pipe {
  int out = -1, in = -1;

  bool isOpen() const { return in >= 0; }
  void close() {
    ::close(in);
    ::close(out);
    in = out = -1;
  }
};

// The pipes of a thread. One is in use only while bytes are in it, so few serve many sockets.
class Pipes {
 public:
  ~Pipes() {
    for (Pipe& pipe : free_) pipe.close();
  }

  // Returns a pipe that is not open where there is none to be had, so that bytes are copied.
  Pipe take() {
    Pipe pipe;
    if (!free_.empty()) {
      pipe = free_.back();
      free_.pop_back();
    } else if (used_ < USED_MAX) {
      pipe = make();
    }
    if (pipe.isOpen()) used_++;
    return pipe;
  }

  void giveBack(Pipe& pipe) {
    used_--;
    if (free_.size() < FREE_MAX) free_.push_back(pipe), pipe = Pipe();
    else pipe.close();
  }

  // Closes a pipe with what is in it.
  void drop(Pipe& pipe) {
    used_--;
    pipe.close();
  }

  // Moves bytes from a socket into a pipe, or from a pipe to a socket. Returns their number, or -1 with an errno.
  static ssize_t move(int from, int to, size_t length) {
#ifdef __linux__
    ssize_t moved;
    do moved = splice(from, nullptr, to, nullptr, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    return moved;
#else
    return static_cast<void>(from), static_cast<void>(to), static_cast<void>(length), errno = ENOSYS, -1;
#endif
  }

 private:
  static constexpr size_t USED_MAX = 32, FREE_MAX = 4;
  std::vector<Pipe> free_;
  size_t used_ = 0;

  static Pipe make() {
    Pipe pipe;
#ifdef __linux__
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) pipe.out = ends[0], pipe.in = ends[1];
#endif
    return pipe;
  }
};

}  // namespace asyncsocket
