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

#include <cerrno>
#include <new>

#include "call.h"
#include "lookup.h"
#include "loop.h"
#include "properties.h"
#include "settings.h"
#include "sockets.h"
#include "traffic.h"

namespace asyncsocket {
namespace {

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
    {"listenerOf", settings::ListenerOf},   {"adopt", Adopt}, {"join", Join}, {"part", Part},
    {"passed", Passed}, {"passedAgo", PassedAgo},
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
}  // namespace asyncsocket

NAPI_MODULE(NODE_GYP_MODULE_NAME, asyncsocket::Init)
