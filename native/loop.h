// The loop of a thread: the table of its sockets, and the events that it gathers for JavaScript.

#pragma once

#include <node_api.h>
#include <uv.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "depot.h"
#include "descriptors.h"
#include "passage.h"
#include "poller.h"

namespace asyncsocket {

// A record has four numbers: the kind of event, the socket, and two values. src/transport/native/addon.ts has the same
// list of kinds.
enum Kind : int32_t { DATA, END, FAILED, OPENED, WRITABLE, ACCEPTED, ACCEPT_FAILED };
constexpr uint32_t RECORD = 4;
constexpr uint32_t RECORDS = 512;

constexpr size_t MEMORY_BYTES = 256 * 1024;
// How many bytes are read from one socket before the next gets its turn.
constexpr size_t READ_BYTES = 64 * 1024;
constexpr int ACCEPTS_MAX = 64;

enum class State : uint8_t { FREE, CONNECTING, STREAM, LISTENING };

struct Slot {
  int fd = -1;
  uint32_t generation = 0;
  // An error of the connection that is reported only after the bytes that the peer had sent before were received.
  int deferredError = 0;
  State state = State::FREE;
  bool hasEnded = false;
  bool awaitsWrite = false;
  bool isReferenced = false;
  unsigned watched = OFF;
  uint32_t room = 0;
  Address peer{};
  // The way to the socket that this one is joined to; null if it is joined to none. What it receives passes that way.
  std::unique_ptr<Passage> passage;
  // The socket whose passage leads here; -1 if there is none.
  int32_t fedBy = -1;
  // How many bytes of this socket have passed since JavaScript asked, and when the last of them did, in nanoseconds.
  uint64_t passed = 0, passedAt = 0;
};

class Loop {
 public:
  napi_env env = nullptr;
  uv_poll_t poll{};
  bool isOpen = false;
  napi_ref deliver = nullptr;
  napi_ref records = nullptr;
  napi_ref memory = nullptr;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  std::vector<Slot> slots;

  int start(uv_loop_t* uv) {
    int fd = poller_.open();
    if (fd < 0) return fd;
    int status = uv_poll_init(uv, &poll, fd);
    if (status == 0) status = uv_poll_start(&poll, UV_READABLE, onPoll);
    if (status != 0) return poller_.close(), status;
    poll.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&poll));
    isOpen = true;
    return 0;
  }

  void stop() {
    for (Slot& slot : slots) {
      if (slot.fd >= 0) ::close(slot.fd);
      slot.fd = -1;
      slot.passage.reset();
    }
    depot().dropOf(this);
    isOpen = false;
  }

  // Called when libuv no longer polls the descriptor.
  void closePoller() { poller_.close(); }

  // Returns null where there is no such socket, or it is closed.
  Slot* find(int32_t id) {
    if (id < 0 || static_cast<size_t>(id) >= slots.size() || slots[id].fd < 0) return nullptr;
    return &slots[id];
  }

  int32_t add(int fd, State state) {
    int32_t id;
    if (free_.empty()) {
      id = static_cast<int32_t>(slots.size());
      slots.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
      slots[id] = Slot();
    }
    slots[id].fd = fd;
    slots[id].generation = ++generation_;
    slots[id].state = state;
    setReferenced(slots[id], true);
    return id;
  }

  // Forgets a socket without closing its descriptor, which is returned.
  int release(int32_t id) {
    part(id);
    if (slots[id].fedBy >= 0) part(slots[id].fedBy);
    watchFor(id, OFF);
    return forget(id);
  }

  // Closing alone might not remove the descriptor from the poller, since a child process between fork and exec has it
  // open as well.
  void close(int32_t id) { ::close(release(id)); }

  void setReferenced(Slot& slot, bool on) {
    if (slot.isReferenced == on) return;
    slot.isReferenced = on;
    referenced_ += on ? 1 : -1;
    auto handle = reinterpret_cast<uv_handle_t*>(&poll);
    if (referenced_ == 0) uv_unref(handle);
    else if (on && referenced_ == 1) uv_ref(handle);
  }

  // Updates what a socket is watched for.
  int watch(int32_t id) {
    Slot& slot = slots[id];
    unsigned wanted = WATCHED;
    bool isAwaited = slot.fedBy >= 0 && slots[slot.fedBy].passage->waiting() > 0;
    bool takesMore = slot.passage != nullptr ? slot.passage->waiting() == 0 : slot.room > 0 || slot.deferredError != 0;
    if (slot.state == State::CONNECTING || slot.awaitsWrite || isAwaited) wanted |= WRITE;
    if (takesMore && !slot.hasEnded) wanted |= READ;
    return watchFor(id, wanted);
  }

  // A write has failed. If the connection is over and unread bytes are left, these are received first, even if there is
  // no room for them, and the failure is reported after them. Returns what the caller of the write gets.
  int failWrite(int32_t id, int error) {
    Slot& slot = slots[id];
    bool waits = !slot.hasEnded && isOver(slot.fd);
    slot.awaitsWrite = false;
    slot.deferredError = waits ? error : 0;
    int status = watch(id);
    return waits && status == 0 ? 0 : -error;
  }

  // Lets what one socket receives pass to another. Returns 0 or the number of an error.
  int join(int32_t from, int32_t to, bool isTimed) {
    if (passing_ == nullptr) passing_.reset(new (std::nothrow) char[CHUNK_BYTES]);
    slots[from].passage.reset(new (std::nothrow) Passage(to, isTimed, pipes_));
    if (passing_ == nullptr || slots[from].passage == nullptr) return -ENOMEM;
    slots[to].fedBy = from;
    int status = watch(from);
    if (status < 0) part(from);
    return status;
  }

  // Ends what `join` began. Bytes that wait are lost unless they were taken before.
  void part(int32_t from) {
    Slot& slot = slots[from];
    if (slot.passage == nullptr) return;
    int32_t to = slot.passage->to;
    slot.passage.reset();
    slots[to].fedBy = -1;
    watch(from);
    watch(to);
  }

 private:
  Poller poller_;
  std::vector<int32_t> free_;
  // Sockets that were closed while records of the present batch may still refer to them.
  std::vector<int32_t> leaving_;
  uint32_t generation_ = 0;
  int64_t referenced_ = 0;
  bool isBusy_ = false;
  uint32_t count_ = 0;
  size_t used_ = 0;
  int32_t* record_ = nullptr;
  char* bytes_ = nullptr;
  // What passes from one socket to another lies here meanwhile. Allocated when the first two are joined.
  std::unique_ptr<char[]> passing_;
  Pipes pipes_;

  int forget(int32_t id) {
    Slot& slot = slots[id];
    int fd = slot.fd;
    setReferenced(slot, false);
    slot.fd = -1;
    slot.state = State::FREE;
    (isBusy_ ? leaving_ : free_).push_back(id);
    return fd;
  }

  int watchFor(int32_t id, unsigned wanted) {
    Slot& slot = slots[id];
    if (wanted == slot.watched) return 0;
    int status = poller_.set(slot.fd, packed(id, slot.generation), slot.watched, wanted);
    if (status == 0) slot.watched = wanted;
    return status;
  }

  void push(Kind kind, int32_t id, int32_t a = 0, int32_t b = 0) {
    int32_t* record = record_ + RECORD * count_++;
    record[0] = kind;
    record[1] = id;
    record[2] = a;
    record[3] = b;
  }

  // The address of the memory is asked for anew for each batch, since JavaScript could have transferred the memory.
  bool findMemory() {
    napi_value value;
    void* data = nullptr;
    size_t length = 0;
    if (napi_get_reference_value(env, records, &value) != napi_ok) return false;
    if (napi_get_arraybuffer_info(env, value, &data, &length) != napi_ok) return false;
    record_ = length >= RECORDS * RECORD * sizeof(int32_t) ? static_cast<int32_t*>(data) : nullptr;
    if (napi_get_reference_value(env, memory, &value) != napi_ok) return false;
    if (napi_get_arraybuffer_info(env, value, &data, &length) != napi_ok) return false;
    bytes_ = length >= MEMORY_BYTES ? static_cast<char*>(data) : nullptr;
    return record_ != nullptr && bytes_ != nullptr;
  }

  // Delivers the batch. Returns false when JavaScript can no longer run, or when the memory is gone.
  bool flush() {
    if (count_ == 0) return true;
    napi_value receiver, callback, argument;
    uint32_t count = count_;
    count_ = 0;
    used_ = 0;
    if (napi_get_global(env, &receiver) != napi_ok || napi_get_reference_value(env, deliver, &callback) != napi_ok ||
        napi_create_uint32(env, count, &argument) != napi_ok) {
      return false;
    }
    napi_status status = napi_make_callback(env, context, receiver, callback, 1, &argument, nullptr);
    if (status == napi_pending_exception) {
      napi_value error;
      if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return false;
      napi_fatal_exception(env, error);
    } else if (status != napi_ok) {
      return false;
    }
    return isOpen && findMemory();
  }

  static void onPoll(uv_poll_t* handle, int status, int) {
    auto loop = static_cast<Loop*>(handle->data);
    if (status == 0 && loop->isOpen && !loop->isBusy_) loop->turn();
  }

  void turn() {
    Ready ready[READY_MAX];
    int count = poller_.wait(ready);
    // Where bytes only pass from one socket to another, nothing is prepared for JavaScript.
    Ready* end = std::remove_if(ready, ready + std::max(count, 0), [this](const Ready& one) { return passes(one); });
    if (end != ready) tell(ready, static_cast<int>(end - ready));
  }

  void tell(const Ready* ready, int count) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    isBusy_ = true;
    bool goesOn = findMemory();
    for (int i = 0; i < count && goesOn; i++) goesOn = handle(ready[i]);
    if (goesOn) flush();
    isBusy_ = false;
    free_.insert(free_.end(), leaving_.begin(), leaving_.end());
    leaving_.clear();
    napi_close_handle_scope(env, scope);
  }

  bool handle(const Ready& ready) {
    // What follows writes at most four records and three times READ_BYTES bytes; two and once if nothing is joined.
    Slot* slot = find(ready.id);
    size_t parts = slot != nullptr && isJoined(*slot) ? 3 : 1;
    bool isFull = count_ + 1 + parts > RECORDS || used_ + parts * READ_BYTES > MEMORY_BYTES;
    if (isFull && !flush()) return false;
    slot = find(ready.id);
    if (slot == nullptr || slot->generation != ready.generation) return true;
    if (isJoined(*slot) && !passOn(ready)) return true;
    if (slot->state == State::LISTENING) return accept(ready.id);
    if (slot->state == State::CONNECTING) return finishConnect(ready.id, ready.what), true;
    if ((ready.what & (WRITE | BROKEN)) && slot->awaitsWrite) push(WRITABLE, ready.id);
    if ((ready.what & ~WRITE) && slot->passage == nullptr) receive(ready.id, *slot, ready.what);
    return true;
  }

  void finishConnect(int32_t id, unsigned what) {
    Slot& slot = slots[id];
    int error = errorOf(slot.fd);
    // The absence of an error does not mean success yet; the socket is connected once it has a peer.
    sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (error == 0 && getpeername(slot.fd, reinterpret_cast<sockaddr*>(&peer), &length) < 0) {
      error = errno;
      if (error == ENOTCONN && (what & (HANGUP | BROKEN)) == 0) return;
    }
    if (error != 0) return fail(id, error);
    slot.state = State::STREAM;
    watch(id);
    push(OPENED, id);
  }

  // Reports a failure and stops watching the socket, which would report the same failure again and again.
  void fail(int32_t id, int error) {
    watchFor(id, OFF);
    slots[id].hasEnded = true;
    push(FAILED, id, error);
  }

  static bool isJoined(const Slot& slot) { return slot.passage != nullptr || slot.fedBy >= 0; }

  // Whether an event was only about bytes that pass from one socket to another, which they have done by now.
  bool passes(const Ready& ready) {
    Slot* slot = find(ready.id);
    if (slot == nullptr || slot->generation != ready.generation || !isJoined(*slot)) return false;
    bool isWritable = (ready.what & ~READ) != 0, isReadable = (ready.what & ~WRITE) != 0;
    if (isWritable && slot->fedBy >= 0 && slots[slot->fedBy].passage->waiting() > 0 && !pump(slot->fedBy, OFF)) return false;
    if (isReadable && (slot->passage == nullptr || !pump(ready.id, ready.what))) return false;
    return !(isWritable && slot->awaitsWrite);
  }

  // The same, where JavaScript has to go on: what cannot pass any more is given to it. Returns whether more is to be
  // done about the event.
  bool passOn(const Ready& ready) {
    if (passes(ready)) return false;
    for (int32_t from : {slots[ready.id].fedBy, ready.id}) {
      if (from < 0 || slots[from].passage == nullptr) continue;
      unsigned what = from == ready.id ? ready.what : OFF;
      const Passage& passage = *slots[from].passage;
      if (from != ready.id && passage.waiting() == 0 && !passage.isOver) continue;
      if (!pump(from, what)) separate(from);
    }
    return slots[ready.id].passage == nullptr || slots[ready.id].awaitsWrite;
  }

  // Passes on what there is. Returns false if JavaScript has to go on.
  bool pump(int32_t id, unsigned what) {
    Slot& from = slots[id];
    Passage& passage = *from.passage;
    Slot& to = slots[passage.to];
    bool wasStalled = passage.waiting() > 0;
    size_t count = passage.isOver ? 0 : passage.pump(from.fd, to.fd, passing_.get());
    from.passed += count;
    if (count > 0 && passage.isTimed) from.passedAt = uv_hrtime();
    if (from.deferredError == 0) from.deferredError = passage.readError;
    if (to.deferredError == 0) to.deferredError = passage.sendError;
    bool isStalled = passage.waiting() > 0;
    if (isStalled != wasStalled && (watch(id) < 0 || watch(passage.to) < 0)) passage.isOver = true;
    if (passage.isOver || !isStalled || (what & (HANGUP | BROKEN)) == 0) return !passage.isOver;
    // While its bytes wait, a connection that is over would be reported again and again. JavaScript is told of a failure
    // at once; an end has its place behind the bytes.
    bool isAwaited = from.awaitsWrite || (from.fedBy >= 0 && slots[from.fedBy].passage->waiting() > 0);
    return (what & BROKEN) == 0 && !isAwaited && watchFor(id, OFF) == 0;
  }

  // Ends a passage, and gives JavaScript the bytes that wait.
  void separate(int32_t from) {
    size_t count = slots[from].passage->takeWaiting(bytes_ + used_);
    part(from);
    if (count == 0) return;
    push(DATA, from, static_cast<int32_t>(used_), static_cast<int32_t>(count));
    used_ += count;
  }

  // The connection has failed or ended while there is no room. Bytes that the system still holds came before that, so
  // the socket is not watched until there is room; reading then meets the failure after those bytes.
  void receiveNothing(int32_t id, Slot& slot, unsigned what) {
    if (what & BROKEN) {
      char byte;
      int error = slot.hasEnded ? errorOf(slot.fd) : recv(slot.fd, &byte, 1, MSG_PEEK) < 0 ? errno : 0;
      if (error != 0 || slot.hasEnded) return fail(id, error != 0 ? error : ECONNRESET);
    }
    if ((what & (HANGUP | BROKEN)) && !slot.awaitsWrite) watchFor(id, OFF);
  }

  void receive(int32_t id, Slot& slot, unsigned what) {
    size_t room = std::min<size_t>(slot.room, READ_BYTES);
    if (room == 0 && slot.deferredError != 0) room = READ_BYTES;
    if (room == 0 || slot.hasEnded) return receiveNothing(id, slot, what);
    ssize_t got;
    do got = recv(slot.fd, bytes_ + used_, room, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
      push(DATA, id, static_cast<int32_t>(used_), static_cast<int32_t>(got));
      used_ += static_cast<size_t>(got);
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    } else if (slot.deferredError != 0 || got < 0) {
      fail(id, slot.deferredError != 0 ? slot.deferredError : errno);
    } else {
      slot.hasEnded = true;
      watch(id);
      push(END, id);
    }
  }

  bool accept(int32_t id) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
      if (count_ == RECORDS && !flush()) return false;
      Slot* listener = find(id);
      if (listener == nullptr || listener->room == 0) return true;
      Address peer;
      int fd = acceptFrom(listener->fd, &peer);
      if (fd == -EAGAIN || fd == -EWOULDBLOCK) return true;
      if (fd == -EINTR || fd == -ECONNABORTED || fd == -EPROTO) continue;
      if (fd < 0) {
        // The process is out of descriptors or memory, which the poller would report without end. JavaScript resumes
        // the listener after a while.
        listener->room = 0;
        watch(id);
        push(ACCEPT_FAILED, id, -fd);
        return true;
      }
      int32_t accepted = add(fd, State::STREAM);
      slots[accepted].peer = peer;
      push(ACCEPTED, id, accepted);
    }
    return true;
  }
};

}  // namespace asyncsocket
