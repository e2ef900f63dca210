// One call from JavaScript: its arguments, and what it gives back.

#pragma once

#include <node_api.h>

#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "loop.h"

namespace asyncsocket {

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

inline napi_value giveSocket(const Call& call, int fd, int status, State state, const Address* peer) {
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

}  // namespace asyncsocket
