// The native transport: a readiness loop of its own (epoll, kqueue), whose descriptor the runtime's loop polls.
//
// Events of sockets are gathered into records, and a whole batch of records is delivered to JavaScript in one call.
// Received bytes lie in one piece of memory that all sockets of the thread share. Calls from JavaScript take effect at
// once. A socket's number is its index in a table; the index is used again only when no record of the present batch can
// refer to it any more. Nothing here queues, retries or decides; src/transport/native/ does.
//
// Only Node-API and libuv are used. Both have a stable ABI, so one build serves all versions of Node.

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
#include "settings.h"

#ifdef __linux__
#include <linux/sockios.h>
#include <sys/epoll.h>
#else
#include <sys/event.h>
#endif

namespace {

// A record has four numbers: the kind of event, the socket, and two values. src/transport/native/addon.ts has the same
// list of kinds.
enum Kind : int32_t { DATA, END, FAILED, OPENED, WRITABLE, ACCEPTED, ACCEPT_FAILED };
constexpr uint32_t RECORD = 4;
constexpr uint32_t RECORDS = 512;

constexpr size_t MEMORY_BYTES = 256 * 1024;
// How many bytes are read from one socket before the next gets its turn.
constexpr size_t READ_BYTES = 64 * 1024;
constexpr int READY_MAX = 128;
constexpr int ACCEPTS_MAX = 64;
constexpr uint32_t PARTS_MAX = 1024;
// The most bytes that one call sends. Systems refuse or cut what does not fit into 31 bits.
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
  // Tells the sockets apart that have had this number one after the other.
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

// ---------------------------------------------------------------------- addresses

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

// Below 0 keepalive is off; 0 keeps the system's own delay. Interval and count are those of the runtime's own sockets.
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

// Whether the connection is over in both directions, so that reading will meet an end or an error.
bool isOver(int fd) {
  pollfd one{fd, 0, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

// ---------------------------------------------------------------------- between threads

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
Depot& depot() {
  static auto the = new Depot();
  return *the;
}

// ---------------------------------------------------------------------- the loop of a thread

enum class State : uint8_t { FREE, CONNECTING, STREAM, LISTENING };

struct Slot {
  int fd = -1;
  uint32_t generation = 0;
  // The error of a failed write that is reported only after the bytes that the peer had sent before were received.
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
    if (slot.state == State::CONNECTING || slot.awaitsWrite) wanted |= WRITE;
    if ((slot.room > 0 || slot.writeError != 0) && !slot.hasEnded) wanted |= READ;
    return watchFor(id, wanted);
  }

  // A write has failed. If the connection is over and unread bytes are left, these are received first, even if there is
  // no room for them, and the failure is reported after them. Returns what the caller of the write gets.
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
  // Sockets that were closed while records of the present batch may still refer to them.
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
    // What follows writes at most two records and READ_BYTES bytes.
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
  // Reads an offset in bytes, which may not fit into 31 bits.
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
  // Returns the socket whose number is the first argument; throws, and returns null, if there is none.
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

// connect(address, port, localAddress?, localPort, settings?): returns a connecting socket, or the number of an error,
// below 0. A port below 0 means that the address is a path. For `settings` see `settings::setAll`.
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
  int status = call.has(5) ? settings::setAll(env, call.values[5], fd) : 0;
  if (status == 0 && reusePort && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) status = -errno;
  if (status == 0 && bind(fd, place.any(), place.length) < 0) status = -errno;
  if (status == 0 && ::listen(fd, backlog) < 0) status = -errno;
  return giveSocket(call, fd, status, State::LISTENING, nullptr);
}

// adopt(descriptor, backlog): returns a listening socket for a descriptor that listens already, which belongs to the
// socket from then on; or the number of an error, and the caller keeps the descriptor
napi_value Adopt(napi_env env, napi_callback_info info) {
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
napi_value Park(napi_env env, napi_callback_info info) {
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

// take(ticket): returns a socket of this thread, or the number of an error where the ticket was taken or dropped before
napi_value Take(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  if (!depot().take(ticket, &parked)) return call.give(-ENOENT);
  return giveSocket(call, parked.fd, 0, State::STREAM, &parked.peer);
}

// drop(ticket): resets the connection unless another thread has taken it. Returns 1 if it was reset, 0 otherwise.
napi_value Drop(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t ticket;
  Parked parked;
  if (!call.number(0, &ticket)) return call.fail("a ticket");
  bool isThere = depot().take(ticket, &parked);
  if (isThere) Depot::reset(parked.fd);
  return call.give(isThere ? 1 : 0);
}

// detach(socket): returns the descriptor, which belongs to the caller from then on
napi_value Detach(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  return call.socket(&id) == nullptr ? nullptr : call.give(call.loop->release(id));
}

// close(socket, reset): closes the descriptor, with a RST if `reset` is true
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

// setRoom(socket, bytes): sets how many more bytes may be received; 0 pauses a connection or a listener
napi_value SetRoom(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, room;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.number(1, &room) || room < 0) return call.fail("a number of bytes");
  slot->room = static_cast<uint32_t>(room);
  return call.give(call.loop->watch(id));
}

// Cuts off the first `offset` bytes, and what exceeds SEND_BYTES. Returns how many parts are left.
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

// write(socket, bytes, offset): returns how many bytes were taken, or the number of an error. If some were not taken,
// WRITABLE or FAILED follows.
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

// writeAll(socket, parts, first, offset): the same for a list, from `offset` in the part with index `first` on
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
  // The getter of an element may have closed the socket or transferred the memory of another element, so both are
  // checked only after the last element was read.
  if (call.socket(&id) == nullptr) return nullptr;
  iovec parts[PARTS_MAX];
  size_t total = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!call.bytes(values[i], &parts[i])) return call.fail("a list of bytes");
    total += parts[i].iov_len;
  }
  if (offset > parts[0].iov_len) return call.fail("an offset");
  // If one call cannot take all parts, the total must exceed what is sent, so that WRITABLE follows.
  if (count < length - static_cast<uint32_t>(first)) total++;
  return sendParts(call, id, parts, cut(parts, count, offset), total - offset);
}

// shutdown(socket): sends a FIN; returns 0 or the number of an error
napi_value Shutdown(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(::shutdown(slot->fd, SHUT_WR) < 0 ? -errno : 0);
}

// How many sent bytes the peer's system has not acknowledged; 0 where the system does not reveal that.
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

// sendQueue(socket): returns how many bytes are in the send queue
napi_value SendQueue(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(sendQueue(slot->fd));
}

// sendQueueOf(descriptor): the same for a descriptor that does not belong to this loop
napi_value SendQueueOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t fd = -1;
  if (!call.number(0, &fd)) return call.fail("a descriptor");
  return call.give(sendQueue(fd));
}

// descriptorOf(socket): returns the descriptor, which stays the socket's
napi_value DescriptorOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(slot->fd);
}

// hasNews(socket): returns whether the system has an event that the socket is watched for
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

// set(socket, what, value): sets TCP_NODELAY (what = 0, value 0 or 1), keepalive (what = 1, value: idle seconds before
// the first probe, 0 for the system's own delay, below 0 for none), or whether the socket keeps the process alive (what
// = 2). Accepted sockets inherit the first two from their listener.
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

// addressOf(socket, ofPeer): returns "port address"; undefined where the socket has no IP address
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

// Called when the thread ends, which may be at any moment. The loop is deleted when libuv has closed its handle.
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
    {"descriptorOf", DescriptorOf}, {"setOf", settings::SetOf}, {"settingOf", settings::SettingOf},
    {"tcpInfoOf", settings::TcpInfoOf}, {"credentialsOf", settings::CredentialsOf},
    {"listenerOf", settings::ListenerOf},   {"adopt", Adopt},
};

// open(deliver): returns a loop for this thread, which is an object with { records, memory } and the functions above;
// or the number of an error. `deliver` is called with the number of records of each batch.
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
