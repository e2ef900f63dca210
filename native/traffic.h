// What passes through a socket: room for received bytes, sent bytes, the FIN. As JavaScript calls it.

#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "call.h"

namespace asyncsocket {

constexpr uint32_t PARTS_MAX = 1024;
// The most bytes that one call sends. Systems refuse or cut what does not fit into 31 bits.
constexpr size_t SEND_BYTES = 1024 * 1024 * 1024;

// setRoom(socket, bytes): sets how many more bytes may be received; 0 pauses a connection or a listener
inline napi_value SetRoom(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, room;
  Slot* slot = call.socket(&id);
  if (slot == nullptr) return nullptr;
  if (!call.number(1, &room) || room < 0) return call.fail("a number of bytes");
  slot->room = static_cast<uint32_t>(room);
  return call.give(call.loop->watch(id));
}

// Cuts off the first `offset` bytes, and what exceeds SEND_BYTES. Returns how many parts are left.
inline size_t cut(iovec* parts, size_t count, size_t offset) {
  parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + offset;
  parts[0].iov_len -= offset;
  size_t room = SEND_BYTES;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].iov_len >= room) return parts[i].iov_len = room, i + 1;
    room -= parts[i].iov_len;
  }
  return count;
}

inline napi_value sendParts(const Call& call, int32_t id, iovec* parts, size_t count, size_t total) {
  Slot& slot = call.loop->slots[id];
  if (slot.deferredError != 0) return call.give(call.loop->failWrite(id, slot.deferredError));
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
inline napi_value Write(napi_env env, napi_callback_info info) {
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
inline napi_value WriteAll(napi_env env, napi_callback_info info) {
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
inline napi_value Shutdown(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(::shutdown(slot->fd, SHUT_WR) < 0 ? -errno : 0);
}

// join(from, to, isTimed): lets what one socket receives pass to another, without any record. Returns 0, or the number of an
// error. When the first socket meets an end or either fails, this is over: what waits comes as DATA, and then the rest as
// usual. `isTimed`: whether `passedAgo` will be asked.
inline napi_value Join(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id, to;
  bool isTimed = false;
  Slot* from = call.socket(&id);
  if (from == nullptr) return nullptr;
  Slot* target = call.number(1, &to) && to != id ? call.loop->find(to) : nullptr;
  if (target == nullptr || !call.flag(2, &isTimed)) return call.fail("another open socket and a flag");
  if (from->state != State::STREAM || target->state != State::STREAM) return call.fail("connected sockets");
  bool isFree = from->passage == nullptr && target->fedBy < 0;
  bool isWell = !from->hasEnded && !target->awaitsWrite && from->deferredError == 0 && target->deferredError == 0;
  return call.give(isFree && isWell ? call.loop->join(id, to, isTimed) : -EBUSY);
}

// part(from): ends that, if it is not over. Returns the bytes that wait for the other socket; undefined if none do.
inline napi_value Part(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* from = call.socket(&id);
  if (from == nullptr || from->passage == nullptr) return nullptr;
  size_t count = from->passage->waiting();
  void* data = nullptr;
  napi_value value = nullptr;
  if (count > 0 && napi_create_buffer(env, count, &data, &value) == napi_ok) {
    from->passage->takeWaiting(static_cast<char*>(data));
  }
  call.loop->part(id);
  return value;
}

// passed(from): returns how many bytes have passed since the last call
inline napi_value Passed(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* from = call.socket(&id);
  return from == nullptr ? nullptr : call.give(static_cast<int64_t>(std::exchange(from->passed, 0)));
}

// passedAgo(from): returns how many milliseconds ago the last bytes have passed
inline napi_value PassedAgo(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* from = call.socket(&id);
  if (from == nullptr) return nullptr;
  napi_value value = nullptr;
  napi_create_double(env, static_cast<double>(uv_hrtime() - from->passedAt) / 1e6, &value);
  return value;
}

// sendQueue(socket): returns how many bytes are in the send queue
inline napi_value SendQueue(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(sendQueue(slot->fd));
}

// sendQueueOf(descriptor): the same for a descriptor that does not belong to this loop
inline napi_value SendQueueOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t fd = -1;
  if (!call.number(0, &fd)) return call.fail("a descriptor");
  return call.give(sendQueue(fd));
}

}  // namespace asyncsocket
