// The native transport: a readiness loop of its own (epoll, kqueue), polled inside the runtime's.
//
// What happens to sockets is gathered into records and crosses into JavaScript a whole batch at a time; received bytes
// lie in one piece of memory that all sockets of the thread share. What JavaScript asks for is done at once. Sockets are
// known by their place in a table, which is used again only when no record can speak of it any more. Nothing here queues,
// retries or decides: src/transport/native.ts does.
//
// Only Node-API and libuv are used, both stable: one build serves all versions of Node.

#include <node_api.h>
#include <uv.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include "lookup.h"

#ifdef __linux__
#include <linux/sockios.h>
#include <sys/epoll.h>
#else
#include <sys/event.h>
#endif

namespace {

// A record is four numbers: what happened, to which socket, and two more. native.ts knows the same list.
enum Kind : int32_t { DATA, END, FAILED, OPENED, WRITABLE, ACCEPTED, ACCEPT_FAILED };
constexpr uint32_t RECORD = 4;
constexpr uint32_t RECORDS = 512;

constexpr size_t MEMORY_BYTES = 256 * 1024;
// Of one socket at a time, so that a fast one leaves the others their turn.
constexpr size_t READ_BYTES = 64 * 1024;
constexpr int READY_MAX = 128;
constexpr int ACCEPTS_MAX = 64;
constexpr uint32_t PARTS_MAX = 1024;
// Of one call. Systems refuse, or cut, what does not fit into 31 bits.
constexpr size_t SEND_BYTES = 1024 * 1024 * 1024;

#ifdef MSG_NOSIGNAL
constexpr int SEND_FLAGS = MSG_NOSIGNAL;
#else
constexpr int SEND_FLAGS = 0;
#endif

// ---------------------------------------------------------------------- readiness

constexpr unsigned OFF = 0, READ = 1, WRITE = 2, HANGUP = 4, BROKEN = 8, WATCHED = 16;

struct Ready {
  int32_t id;
  // Of which of the sockets, one after the other, that have had this number.
  uint32_t generation;
  unsigned what;
};

uint64_t packed(int32_t id, uint32_t generation) { return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(id); }

Ready unpacked(uint64_t data, unsigned what) {
  return {static_cast<int32_t>(data & UINT32_MAX), static_cast<uint32_t>(data >> 32), what};
}

#ifdef __linux__
class Poller {
 public:
  int open() { return fd_ = epoll_create1(EPOLL_CLOEXEC), fd_ < 0 ? -errno : fd_; }
  void close() { ::close(fd_); }

  // Level-triggered. Watched for nothing, a socket still tells that it broke.
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

// ---------------------------------------------------------------------- addresses

// Of an IP socket, as each of them keeps its peer's.
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

  // With a port below 0 it is a path, or with a zero byte before it a name without a file (Linux).
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

// ---------------------------------------------------------------------- descriptors

#ifndef __linux__
int prepare(int fd) {
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) return -errno;
  return fd;
}
#endif

int newSocket(int family) {
#ifdef __linux__
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? -errno : fd;
#else
  int fd = socket(family, SOCK_STREAM, 0);
  return fd < 0 ? -errno : prepare(fd);
#endif
}

int acceptFrom(int listener, Address* peer) {
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

void setOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

// Fewer than 0: off; 0: the system's own delay. The rest as the runtime's own sockets have it.
void setKeepAlive(int fd, int idleSeconds) {
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

int errorOf(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
  return error;
}

// Whether the connection is over in both directions: reading comes to its end, then.
bool isOver(int fd) {
  pollfd one{fd, 0, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

// ---------------------------------------------------------------------- between threads

// Connections on their way from one thread to another, by tickets. Whoever takes a ticket owns the descriptor, exactly
// once; those that nobody took go with the thread that parked them, or are dropped by it.
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

// Of the process; never destroyed, since threads may end after its own destructors have run.
Depot& depot() {
  static auto the = new Depot();
  return *the;
}

// ---------------------------------------------------------------------- the loop of a thread

enum class State : uint8_t { FREE, CONNECTING, STREAM, LISTENING };

struct Slot {
  int fd = -1;
  uint32_t generation = 0;
  // What a write failed with, where it is told behind what the peer had sent before.
  int writeError = 0;
  State state = State::FREE;
  bool hasEnded = false;
  bool awaitsWrite = false;
  bool isReferenced = false;
  unsigned watched = OFF;
  uint32_t room = 0;
  Address peer{};
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
    }
    depot().dropOf(this);
    isOpen = false;
  }

  // When libuv polls it no more.
  void closePoller() { poller_.close(); }

  // Null: there is no such socket, or it is closed.
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

  // Forgets a socket, which stays open.
  int release(int32_t id) {
    watchFor(id, OFF);
    return forget(id);
  }

  // Closing alone would not take it from the poller: between its fork and its exec, a child process has it open, too.
  void close(int32_t id) { ::close(release(id)); }

  void setReferenced(Slot& slot, bool on) {
    if (slot.isReferenced == on) return;
    slot.isReferenced = on;
    referenced_ += on ? 1 : -1;
    auto handle = reinterpret_cast<uv_handle_t*>(&poll);
    if (referenced_ == 0) uv_unref(handle);
    else if (on && referenced_ == 1) uv_ref(handle);
  }

  // Sees to it that what is wanted of a socket is watched.
  int watch(int32_t id) {
    Slot& slot = slots[id];
    unsigned wanted = WATCHED;
    if (slot.state == State::CONNECTING || slot.awaitsWrite) wanted |= WRITE;
    if ((slot.room > 0 || slot.writeError != 0) && !slot.hasEnded) wanted |= READ;
    return watchFor(id, wanted);
  }

  // A write has failed. Where the connection is over and not all was read, the failure is told behind the rest of it, be
  // there room or not: the memory is the kernel's or ours. Gives what the write's caller is told.
  int failWrite(int32_t id, int error) {
    Slot& slot = slots[id];
    bool waits = !slot.hasEnded && isOver(slot.fd);
    slot.awaitsWrite = false;
    slot.writeError = waits ? error : 0;
    int status = watch(id);
    return waits && status == 0 ? 0 : -error;
  }

 private:
  Poller poller_;
  std::vector<int32_t> free_;
  // Closed while records may still speak of them.
  std::vector<int32_t> leaving_;
  uint32_t generation_ = 0;
  int64_t referenced_ = 0;
  bool isBusy_ = false;
  uint32_t count_ = 0;
  size_t used_ = 0;
  int32_t* record_ = nullptr;
  char* bytes_ = nullptr;

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

  // The memory is asked for anew for each batch: whoever got hold of it may have given it away.
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

  // Hands the batch over. False: JavaScript runs no more, or its memory is gone.
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
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    isBusy_ = true;
    int count = poller_.wait(ready);
    bool goesOn = count > 0 && findMemory();
    for (int i = 0; i < count && goesOn; i++) goesOn = handle(ready[i]);
    if (goesOn) flush();
    isBusy_ = false;
    free_.insert(free_.end(), leaving_.begin(), leaving_.end());
    leaving_.clear();
    napi_close_handle_scope(env, scope);
  }

  bool handle(const Ready& ready) {
    // What follows writes two records at most, and READ_BYTES.
    bool isFull = count_ + 2 > RECORDS || used_ + READ_BYTES > MEMORY_BYTES;
    if (isFull && !flush()) return false;
    Slot* slot = find(ready.id);
    if (slot == nullptr || slot->generation != ready.generation) return true;
    if (slot->state == State::LISTENING) return accept(ready.id);
    if (slot->state == State::CONNECTING) return finishConnect(ready.id, ready.what), true;
    if ((ready.what & (WRITE | BROKEN)) && slot->awaitsWrite) push(WRITABLE, ready.id);
    if (ready.what & ~WRITE) receive(ready.id, *slot, ready.what);
    return true;
  }

  void finishConnect(int32_t id, unsigned what) {
    Slot& slot = slots[id];
    int error = errorOf(slot.fd);
    // No error is no answer yet: there is a connection where there is a peer.
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

  // Nothing more is told of it: it would be told again and again.
  void fail(int32_t id, int error) {
    watchFor(id, OFF);
    slots[id].hasEnded = true;
    push(FAILED, id, error);
  }

  // It broke, or ended, while nothing more is to be read. What the system still holds came before that: as long as there is
  // any, the socket is not watched; when there is room, reading comes upon the failure behind the bytes.
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
    if (room == 0 && slot.writeError != 0) room = READ_BYTES;
    if (room == 0 || slot.hasEnded) return receiveNothing(id, slot, what);
    ssize_t got;
    do got = recv(slot.fd, bytes_ + used_, room, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
      push(DATA, id, static_cast<int32_t>(used_), static_cast<int32_t>(got));
      used_ += static_cast<size_t>(got);
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    } else if (slot.writeError != 0 || got < 0) {
      fail(id, slot.writeError != 0 ? slot.writeError : errno);
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
        // Out of descriptors, or of memory: it would be told so without end. JavaScript lets it go on.
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

// ---------------------------------------------------------------------- what JavaScript calls

class Call {
 public:
  Loop* loop = nullptr;
  napi_env env;
  napi_value values[8];

  Call(napi_env env, napi_callback_info info) : env(env) {
    napi_get_cb_info(env, info, &count_, values, nullptr, reinterpret_cast<void**>(&loop));
  }

  bool has(size_t index) const {
    napi_valuetype type;
    return index < count_ && napi_typeof(env, values[index], &type) == napi_ok && type != napi_undefined;
  }
  bool number(size_t index, int32_t* number) const {
    return index < count_ && napi_get_value_int32(env, values[index], number) == napi_ok;
  }
  // How far in bytes, which may be longer than 31 bits tell.
  bool offset(size_t index, size_t* offset) const {
    int64_t number = 0;
    if (index >= count_ || napi_get_value_int64(env, values[index], &number) != napi_ok || number < 0) return false;
    *offset = static_cast<size_t>(number);
    return true;
  }
  bool flag(size_t index, bool* flag) const {
    return index < count_ && napi_get_value_bool(env, values[index], flag) == napi_ok;
  }
  bool text(size_t index, std::string* text) const {
    size_t length = 0;
    if (index >= count_ || napi_get_value_string_utf8(env, values[index], nullptr, 0, &length) != napi_ok) return false;
    text->resize(length + 1);
    napi_get_value_string_utf8(env, values[index], &(*text)[0], length + 1, &length);
    text->resize(length);
    return true;
  }
  bool bytes(napi_value value, iovec* part) const {
    bool isBytes = false;
    napi_typedarray_type type;
    if (napi_is_typedarray(env, value, &isBytes) != napi_ok || !isBytes) return false;
    napi_get_typedarray_info(env, value, &type, &part->iov_len, &part->iov_base, nullptr, nullptr);
    return type == napi_uint8_array;
  }
  // The socket that the first argument names; null, with an exception, if it names none.
  Slot* socket(int32_t* id) const {
    Slot* slot = number(0, id) ? loop->find(*id) : nullptr;
    if (slot == nullptr) fail("an open socket");
    return slot;
  }

  napi_value fail(const char* expected) const {
    napi_throw_type_error(env, nullptr, (std::string("Expected ") + expected).c_str());
    return nullptr;
  }
  napi_value give(int64_t number) const {
    napi_value value = nullptr;
    napi_create_int64(env, number, &value);
    return value;
  }

 private:
  size_t count_ = 8;
};

napi_value giveSocket(const Call& call, int fd, int status, State state, const Address* peer) {
  if (status < 0) {
    if (fd >= 0) ::close(fd);
    return call.give(status);
  }
  int32_t id = call.loop->add(fd, state);
  if (peer != nullptr) call.loop->slots[id].peer = *peer;
  if (state == State::LISTENING) call.loop->slots[id].room = 1;
  int watched = state == State::STREAM ? 0 : call.loop->watch(id);
  if (watched < 0) call.loop->close(id);
  return call.give(watched < 0 ? watched : id);
}

// connect(address, port, localAddress?, localPort): a socket that is connecting, or an error's number below 0.
// With a port below 0 the address is a path.
napi_value Connect(napi_env env, napi_callback_info info) {
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
  int status = 0;
  if (isBound) {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    status = bind(fd, local.any(), local.length) < 0 ? -errno : 0;
  }
  if (status == 0 && connect(fd, peer.any(), peer.length) < 0 && errno != EINPROGRESS && errno != EINTR) status = -errno;
  return giveSocket(call, fd, status, State::CONNECTING, port < 0 ? nullptr : &peer.ip);
}

// listen(address, port, backlog, ipv6Only, reusePort)
napi_value Listen(napi_env env, napi_callback_info info) {
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
  int status = reusePort && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ? -errno : 0;
  if (status == 0 && bind(fd, place.any(), place.length) < 0) status = -errno;
  if (status == 0 && ::listen(fd, backlog) < 0) status = -errno;
  return giveSocket(call, fd, status, State::LISTENING, nullptr);
}

// park(socket): a ticket, by which another thread may take it. It is no socket of this thread's from then on.
napi_value Park(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (slot->state != State::STREAM) return call.fail("a connected socket");
  Address peer = slot->peer;
  return call.give(depot().park({call.loop->release(id), call.loop, peer}));
}

// parkCopy(descriptor): a ticket for a copy of it, or an error's number. The descriptor stays the caller's.
napi_value ParkCopy(napi_env env, napi_callback_info info) {
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

// take(ticket): a socket of this thread's, or an error's number: somebody has taken it, or it is gone
napi_value Take(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  if (!depot().take(ticket, &parked)) return call.give(-ENOENT);
  return giveSocket(call, parked.fd, 0, State::STREAM, &parked.peer);
}

// drop(ticket): resets the connection, unless somebody has taken it. Gives whether it did.
napi_value Drop(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  bool isThere = depot().take(ticket, &parked);
  if (isThere) Depot::reset(parked.fd);
  return call.give(isThere ? 1 : 0);
}

// detach(socket): its descriptor, which is the caller's from then on
napi_value Detach(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  return call.socket(&id) == nullptr ? nullptr : call.give(call.loop->release(id));
}

// close(socket, reset)
napi_value Close(napi_env env, napi_callback_info info) {
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

// setRoom(socket, bytes): 0 pauses; of a listener, too
napi_value SetRoom(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, room;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.number(1, &room) || room < 0) return call.fail("a number of bytes");
  slot->room = static_cast<uint32_t>(room);
  return call.give(call.loop->watch(id));
}

// Leaves the first bytes out, and what a call does not take. Gives how many parts are left.
size_t cut(iovec* parts, size_t count, size_t offset) {
  parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + offset;
  parts[0].iov_len -= offset;
  size_t room = SEND_BYTES;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].iov_len >= room) return parts[i].iov_len = room, i + 1;
    room -= parts[i].iov_len;
  }
  return count;
}

napi_value sendParts(const Call& call, int32_t id, iovec* parts, size_t count, size_t total) {
  Slot& slot = call.loop->slots[id];
  ssize_t sent;
  do {
    if (count == 1) {
      sent = send(slot.fd, parts[0].iov_base, parts[0].iov_len, SEND_FLAGS);
    } else {
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
      sent = sendmsg(slot.fd, &message, SEND_FLAGS);
    }
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
    return call.give(call.loop->failWrite(id, errno));
  }
  if (sent < 0) sent = 0;
  slot.awaitsWrite = static_cast<size_t>(sent) < total;
  if (slot.awaitsWrite || (slot.watched & WRITE)) call.loop->watch(id);
  return call.give(sent);
}

// write(socket, bytes, offset): how many were taken, or an error's number. Where some were not, WRITABLE follows, or FAILED
napi_value Write(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  size_t offset;
  iovec part;
  if (call.socket(&id) == nullptr) return nullptr;
  if (!call.bytes(call.values[1], &part)) return call.fail("bytes");
  if (!call.offset(2, &offset) || offset > part.iov_len) return call.fail("an offset");
  size_t total = part.iov_len - offset;
  return sendParts(call, id, &part, cut(&part, 1, offset), total);
}

// writeAll(socket, list of bytes, first, offset in the first)
napi_value WriteAll(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, first;
  size_t offset;
  uint32_t length = 0;
  if (call.socket(&id) == nullptr) return nullptr;
  bool isList = napi_get_array_length(env, call.values[1], &length) == napi_ok;
  bool isRight = isList && call.number(2, &first) && call.offset(3, &offset) && first >= 0;
  if (!isRight || static_cast<uint32_t>(first) >= length) return call.fail("a list of bytes and two numbers");
  napi_value values[PARTS_MAX];
  uint32_t count = std::min(length - static_cast<uint32_t>(first), PARTS_MAX);
  for (uint32_t i = 0; i < count; i++) {
    bool isThere = napi_get_element(env, call.values[1], static_cast<uint32_t>(first) + i, &values[i]) == napi_ok;
    if (!isThere) return call.fail("a list of bytes");
  }
  // An element's getter may have closed the socket, or given away the memory of another: that is looked at behind the last.
  if (call.socket(&id) == nullptr) return nullptr;
  iovec parts[PARTS_MAX];
  size_t total = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!call.bytes(values[i], &parts[i])) return call.fail("a list of bytes");
    total += parts[i].iov_len;
  }
  if (offset > parts[0].iov_len) return call.fail("an offset");
  // Where there are more parts than one call takes, there is more to come.
  if (count < length - static_cast<uint32_t>(first)) total++;
  return sendParts(call, id, parts, cut(parts, count, offset), total - offset);
}

// shutdown(socket): FIN
napi_value Shutdown(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(::shutdown(slot->fd, SHUT_WR) < 0 ? -errno : 0);
}

// Bytes that were sent, and that the peer's system has not taken; 0 where the system does not tell.
int sendQueue(int fd) {
  int count = 0;
#ifdef __linux__
  if (ioctl(fd, SIOCOUTQ, &count) < 0) return 0;
#elif defined(SO_NWRITE)
  socklen_t length = sizeof count;
  if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &count, &length) < 0) return 0;
#endif
  return std::max(count, 0);
}

// sendQueue(socket): bytes
napi_value SendQueue(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(sendQueue(slot->fd));
}

// sendQueueOf(descriptor): the same of one that is not a socket of this loop
napi_value SendQueueOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t fd = -1;
  if (!call.number(0, &fd)) return call.fail("a descriptor");
  return call.give(sendQueue(fd));
}

// hasNews(socket): whether the system has something to tell of it that is waited for
napi_value HasNews(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  pollfd asked{};
  asked.fd = slot->fd;
  if (slot->watched & READ) asked.events |= POLLIN;
  if (slot->watched & WRITE) asked.events |= POLLOUT;
  napi_value value = nullptr;
  napi_get_boolean(env, asked.events != 0 && ::poll(&asked, 1, 0) > 0, &value);
  return value;
}

// set(socket, what, value): 0: no delay, 0 or 1; 1: idle seconds before keepalive probes, 0 for the system's own, below 0
// for none; 2: whether it keeps the process alive. Accepted sockets inherit the first two from their listener.
napi_value Set(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, what, value;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.number(1, &what) || !call.number(2, &value)) return call.fail("a setting and its value");
  if (what == 0) setOption(slot->fd, IPPROTO_TCP, TCP_NODELAY, value);
  else if (what == 1) setKeepAlive(slot->fd, value);
  else call.loop->setReferenced(*slot, value != 0);
  return nullptr;
}

// addressOf(socket, ofPeer): "port address"; undefined where it has none
napi_value AddressOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  bool ofPeer = false;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.flag(1, &ofPeer)) return call.fail("a flag");
  Address address = slot->peer;
  socklen_t length = sizeof address;
  if (!ofPeer && getsockname(slot->fd, &address.any, &length) < 0) return nullptr;
  int family = address.any.sa_family;
  if (family != AF_INET && family != AF_INET6) return nullptr;
  char name[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE] = "";
  const void* bytes = family == AF_INET ? static_cast<void*>(&address.v4.sin_addr) : &address.v6.sin6_addr;
  uv_inet_ntop(family, bytes, name, sizeof name);
  if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr)) {
    size_t end = std::strlen(name);
    name[end] = '%';
    if (if_indextoname(address.v6.sin6_scope_id, name + end + 1) == nullptr) name[end] = '\0';
  }
  std::string text = std::to_string(ntohs(address.v4.sin_port)) + " " + name;
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.c_str(), text.size(), &value);
  return value;
}

// ---------------------------------------------------------------------- beginning and end

// Called when the thread ends, at whatever moment. The loop's memory goes when libuv is done with its handle.
void onCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto loop = static_cast<Loop*>(data);
  loop->stop();
  uv_close(reinterpret_cast<uv_handle_t*>(&loop->poll), [](uv_handle_t* handle) {
    auto ended = static_cast<Loop*>(handle->data);
    ended->closePoller();
    napi_remove_async_cleanup_hook(ended->cleanup);
    delete ended;
  });
}

napi_value newMemory(napi_env env, size_t bytes, napi_ref* reference) {
  void* data = nullptr;
  napi_value value = nullptr;
  if (napi_create_arraybuffer(env, bytes, &data, &value) != napi_ok) return nullptr;
  napi_create_reference(env, value, 1, reference);
  return value;
}

const struct {
  const char* name;
  napi_callback callback;
} FUNCTIONS[] = {
    {"connect", Connect}, {"listen", Listen}, {"detach", Detach},     {"close", Close},       {"park", Park},
    {"parkCopy", ParkCopy}, {"take", Take},   {"drop", Drop},         {"setRoom", SetRoom},   {"write", Write},
    {"writeAll", WriteAll}, {"shutdown", Shutdown}, {"set", Set},     {"addressOf", AddressOf},
    {"sendQueue", SendQueue}, {"sendQueueOf", SendQueueOf}, {"hasNews", HasNews},
};

// open(deliver): a loop of this thread's, as an object: { records, memory } and the functions above; or an error's number.
// `deliver` is called with the number of records.
napi_value Open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.values[0], &type);
  if (type != napi_function) return call.fail("a function");
  auto loop = new (std::nothrow) Loop();
  uv_loop_t* uv = nullptr;
  int status = loop == nullptr ? -ENOMEM : napi_get_uv_event_loop(env, &uv) == napi_ok ? loop->start(uv) : -ENOTSUP;
  if (status < 0) {
    delete loop;
    return call.give(status);
  }
  loop->env = env;
  napi_value result, name;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, "asyncsocket", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, call.values[0], 1, &loop->deliver);
  napi_async_init(env, nullptr, name, &loop->context);
  napi_set_named_property(env, result, "records", newMemory(env, RECORDS * RECORD * sizeof(int32_t), &loop->records));
  napi_set_named_property(env, result, "memory", newMemory(env, MEMORY_BYTES, &loop->memory));
  for (const auto& [key, callback] : FUNCTIONS) {
    napi_value function;
    napi_create_function(env, key, NAPI_AUTO_LENGTH, callback, loop, &function);
    napi_set_named_property(env, result, key, function);
  }
  napi_add_async_cleanup_hook(env, onCleanup, loop, &loop->cleanup);
  return result;
}

napi_value Init(napi_env env, napi_value exports) {
  napi_value open;
  napi_create_function(env, "open", NAPI_AUTO_LENGTH, Open, nullptr, &open);
  napi_set_named_property(env, exports, "open", open);
  napi_create_function(env, "lookups", NAPI_AUTO_LENGTH, lookup::Open, nullptr, &open);
  napi_set_named_property(env, exports, "lookups", open);
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
