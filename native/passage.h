// Bytes on their way from one socket to another, which JavaScript never sees.

#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "descriptors.h"
#include "pipes.h"

namespace asyncsocket {

// How many bytes are read from a socket at once, and the most that wait for one that takes no more.
constexpr size_t CHUNK_BYTES = 64 * 1024;
// How many bytes pass before the next socket gets its turn.
constexpr size_t PASS_BYTES = 4 * CHUNK_BYTES;
// Below this a copy costs less than the way through a pipe.
constexpr size_t BULK_BYTES = CHUNK_BYTES / 4;

// What one socket receives is sent to another: copied through memory, or moved through a pipe where whole chunks come.
// Nothing is read while bytes wait, so at most one chunk does.
class Passage {
 public:
  // The socket that the bytes go to.
  const int32_t to;
  // Whether the time of the last bytes is asked for.
  const bool isTimed;
  // An end or an error was met, or the system refuses something. JavaScript has to go on.
  bool isOver = false;
  // The errors of reading and of sending; 0 if there are none.
  int readError = 0, sendError = 0;

  Passage(int32_t to, bool isTimed, Pipes& pipes) : to(to), isTimed(isTimed), pipes_(pipes) {}
  Passage(const Passage&) = delete;
  ~Passage() {
    if (pipe_.isOpen()) pipes_.drop(pipe_);
  }

  // How many bytes wait for the other socket.
  size_t waiting() const { return length_; }

  // Passes on what there is. `memory` has room for one chunk. Returns how many bytes were sent.
  size_t pump(int source, int target, char* memory) {
    size_t before = sent_;
    if (length_ > 0) sendWaiting(target);
    bool hasMore = length_ == 0;
    while (hasMore && !isOver && sent_ - before < PASS_BYTES) {
      if (isBulk_ && !pipe_.isOpen()) pipe_ = pipes_.take();
      hasMore = isBulk_ && pipe_.isOpen() ? move(source, target) : copy(source, target, memory);
    }
    if (length_ == 0 && pipe_.isOpen()) pipes_.giveBack(pipe_);
    return sent_ - before;
  }

  // Gives up the bytes that wait. Returns their number.
  size_t takeWaiting(char* bytes) {
    size_t count = std::exchange(length_, 0);
    if (count > 0 && waiting_ != nullptr) std::memcpy(bytes, waiting_.get() + start_, count);
    else if (count > 0) readPipe(bytes, count);
    return count;
  }

 private:
  Pipes& pipes_;
  // Where bytes wait: in the pipe, or from `start_` on in memory that is allocated only then.
  Pipe pipe_;
  std::unique_ptr<char[]> waiting_;
  size_t start_ = 0, length_ = 0;
  size_t sent_ = 0;
  // Whether so much comes that it is moved through a pipe, and whether the system has refused to do that.
  bool isBulk_ = false, isRefused_ = false;

  // Returns whether more may be there.
  bool copy(int source, int target, char* memory) {
    ssize_t got;
    do got = recv(source, memory, CHUNK_BYTES, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return meet(got);
    size_t length = static_cast<size_t>(got);
    size_t sent = send(target, memory, length);
    if (sent < length) {
      waiting_.reset(new char[length - sent]);
      std::memcpy(waiting_.get(), memory + sent, length - sent);
      start_ = 0;
      length_ = length - sent;
      return false;
    }
    // Less than a chunk was all that there was. If more has come since, the poller says so.
    isBulk_ = length == CHUNK_BYTES && !isRefused_;
    return length == CHUNK_BYTES;
  }

  bool move(int source, int target) {
    ssize_t got = Pipes::move(source, pipe_.in, CHUNK_BYTES);
    if (got < 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM)) {
      isRefused_ = true;
      isBulk_ = false;
      return true;
    }
    if (got <= 0) return meet(got);
    length_ = static_cast<size_t>(got);
    isBulk_ = length_ >= BULK_BYTES;
    sendWaiting(target);
    return length_ == 0 && isBulk_;
  }

  // Nothing was received: there is nothing, or an end, or an error.
  bool meet(ssize_t got) {
    if (got < 0 && isBusy(errno)) return false;
    if (got < 0) readError = errno;
    isOver = true;
    return false;
  }

  static bool isBusy(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }

  size_t send(int target, const char* bytes, size_t length) {
    ssize_t sent;
    do sent = ::send(target, bytes, length, SEND_FLAGS);
    while (sent < 0 && errno == EINTR);
    return count(sent);
  }

  size_t count(ssize_t sent) {
    if (sent < 0 && !isBusy(errno)) sendError = errno, isOver = true;
    if (sent <= 0) return 0;
    sent_ += static_cast<size_t>(sent);
    return static_cast<size_t>(sent);
  }

  void sendWaiting(int target) {
    bool isInMemory = waiting_ != nullptr;
    size_t sent = isInMemory ? send(target, waiting_.get() + start_, length_) : count(Pipes::move(pipe_.out, target, length_));
    start_ += sent;
    length_ -= sent;
    if (length_ == 0) waiting_.reset();
  }

  void readPipe(char* bytes, size_t length) {
    for (size_t at = 0; at < length;) {
      ssize_t got = read(pipe_.out, bytes + at, length - at);
      if (got <= 0) break;
      at += static_cast<size_t>(got);
    }
  }
};

}  // namespace asyncsocket
