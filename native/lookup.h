// Looks up names by the system's resolver (getaddrinfo), each in a thread that does nothing else meanwhile.
//
// The runtime looks names up in a pool of few threads, where each waits for its answer. A few names without an answer
// delay all other lookups, and the process cannot end before them. The threads here are detached, so nobody waits for
// them when a lookup is given up or when the process ends.

#pragma once

#include <node_api.h>
#include <uv.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace lookup {

// How many threads the process may use at once. A thread ends when no question is left.
constexpr int THREADS_MAX = 32;

struct Answer {
  int32_t id;
  // The name of the error; empty if the lookup has succeeded.
  std::string error;
  // The addresses, separated by spaces.
  std::string addresses;
};

// Holds the answers that threads have put there. It may outlive the event loop that waits for them.
struct Mailbox {
  std::mutex mutex;
  std::vector<Answer> answers;
  // Wakes the event loop; null once nobody waits for answers any more.
  uv_async_t* bell = nullptr;

  void put(Answer answer) {
    std::lock_guard<std::mutex> lock(mutex);
    if (bell == nullptr) return;
    answers.push_back(std::move(answer));
    uv_async_send(bell);
  }
};

struct Question {
  std::shared_ptr<Mailbox> mailbox;
  int32_t id;
  std::string host;
  int family;
};

// The name that the runtime uses for an error of getaddrinfo.
inline std::string nameOfError(int status) {
  switch (status) {
    case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#endif
      return "ENOTFOUND";
    case EAI_AGAIN:
      return "EAI_AGAIN";
    case EAI_FAIL:
      return "EAI_FAIL";
    case EAI_MEMORY:
      return "EAI_MEMORY";
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
      return "EAI_ADDRFAMILY";
#endif
    case EAI_FAMILY:
      return "EAI_FAMILY";
    case EAI_SYSTEM:
      return uv_err_name(-errno);
    default:
      return "EAI_" + std::to_string(status);
  }
}

inline Answer ask(const Question& question) {
  Answer answer{question.id, "", ""};
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = question.family == 4 ? AF_INET : question.family == 6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  int status = getaddrinfo(question.host.c_str(), nullptr, &hints, &found);
  if (status != 0) {
    answer.error = nameOfError(status);
    return answer;
  }
  for (addrinfo* one = found; one != nullptr; one = one->ai_next) {
    char text[NI_MAXHOST];
    status = getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    if (status == 0) answer.addresses.append(answer.addresses.empty() ? "" : " ").append(text);
  }
  freeaddrinfo(found);
  return answer;
}

// The threads, and the questions that wait for a thread.
class Askers {
 public:
  void add(Question question) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(question));
    if (threads_ == THREADS_MAX) return;
    if (start()) threads_++;
    else if (threads_ == 0) refuseAll();
  }

 private:
  std::mutex mutex_;
  std::deque<Question> waiting_;
  int threads_ = 0;

  bool start() {
    pin();
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int status = pthread_create(&thread, &attributes, run, this);
    pthread_attr_destroy(&attributes);
    return status == 0;
  }

  // The runtime unloads an addon when the last of the runtime's threads that loaded it ends. Lookup threads may still
  // run the addon's code then, so the addon stays in memory.
  static void pin() {
    static const bool isPinned = [] {
      Dl_info info;
      return dladdr(reinterpret_cast<void*>(&run), &info) != 0 &&
             dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) != nullptr;
    }();
    (void)isPinned;
  }

  void refuseAll() {
    for (const Question& one : waiting_) one.mailbox->put({one.id, "EAGAIN", ""});
    waiting_.clear();
  }

  static void* run(void* data) {
    auto askers = static_cast<Askers*>(data);
    for (;;) {
      std::unique_lock<std::mutex> lock(askers->mutex_);
      if (askers->waiting_.empty()) return askers->threads_--, nullptr;
      Question question = std::move(askers->waiting_.front());
      askers->waiting_.pop_front();
      lock.unlock();
      question.mailbox->put(ask(question));
    }
  }
};

// One for the process. It is never destroyed, since threads may end after the destructors of the process have run.
inline Askers& askers() {
  static auto the = new Askers();
  return *the;
}

// Asks questions and receives the answers for one thread of the runtime.
class Desk {
 public:
  napi_env env = nullptr;
  uv_async_t bell{};
  std::shared_ptr<Mailbox> mailbox = std::make_shared<Mailbox>();
  napi_ref deliver = nullptr;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;

  int open(uv_loop_t* uv) {
    int status = uv_async_init(uv, &bell, [](uv_async_t* handle) { static_cast<Desk*>(handle->data)->empty(); });
    if (status != 0) return status;
    bell.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&bell));
    mailbox->bell = &bell;
    return 0;
  }

  // Called when the thread of the runtime ends, which may be at any moment.
  static void close(napi_async_cleanup_hook_handle, void* data) {
    auto desk = static_cast<Desk*>(data);
    {
      std::lock_guard<std::mutex> lock(desk->mailbox->mutex);
      desk->mailbox->bell = nullptr;
    }
    uv_close(reinterpret_cast<uv_handle_t*>(&desk->bell), [](uv_handle_t* handle) {
      auto closed = static_cast<Desk*>(handle->data);
      napi_remove_async_cleanup_hook(closed->cleanup);
      delete closed;
    });
  }

 private:
  void empty() {
    std::vector<Answer> answers;
    {
      std::lock_guard<std::mutex> lock(mailbox->mutex);
      answers.swap(mailbox->answers);
    }
    for (const Answer& answer : answers) tell(answer);
  }

  void tell(const Answer& answer) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    napi_value receiver, callback, values[3];
    const std::string& text = answer.addresses;
    bool isReady = napi_get_global(env, &receiver) == napi_ok &&
                   napi_get_reference_value(env, deliver, &callback) == napi_ok &&
                   napi_create_int32(env, answer.id, &values[0]) == napi_ok &&
                   napi_create_string_utf8(env, answer.error.c_str(), answer.error.size(), &values[1]) == napi_ok &&
                   napi_create_string_utf8(env, text.c_str(), text.size(), &values[2]) == napi_ok;
    if (isReady && napi_make_callback(env, context, receiver, callback, 3, values, nullptr) == napi_pending_exception) {
      napi_value error;
      if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
    }
    napi_close_handle_scope(env, scope);
  }
};

inline Desk* arguments(napi_env env, napi_callback_info info, napi_value* values, size_t count) {
  void* data = nullptr;
  size_t given = count;
  napi_get_cb_info(env, info, &given, values, nullptr, &data);
  return static_cast<Desk*>(data);
}

// ask(id, host, family): `deliver` is called with the id, the name of an error (or ""), and the addresses separated by
// spaces
inline napi_value Ask(napi_env env, napi_callback_info info) {
  napi_value values[3];
  Desk* desk = arguments(env, info, values, 3);
  int32_t id = 0, family = 0;
  size_t length = 0;
  bool isRight = napi_get_value_int32(env, values[0], &id) == napi_ok &&
                 napi_get_value_string_utf8(env, values[1], nullptr, 0, &length) == napi_ok &&
                 napi_get_value_int32(env, values[2], &family) == napi_ok;
  if (!isRight) return napi_throw_type_error(env, nullptr, "Expected a number, a name and a family"), nullptr;
  std::string host(length + 1, '\0');
  napi_get_value_string_utf8(env, values[1], &host[0], length + 1, &length);
  host.resize(length);
  askers().add({desk->mailbox, id, std::move(host), family});
  return nullptr;
}

// hold(on): sets whether pending questions keep the process alive
inline napi_value Hold(napi_env env, napi_callback_info info) {
  napi_value values[1];
  Desk* desk = arguments(env, info, values, 1);
  bool on = false;
  napi_get_value_bool(env, values[0], &on);
  auto handle = reinterpret_cast<uv_handle_t*>(&desk->bell);
  if (on) uv_ref(handle);
  else uv_unref(handle);
  return nullptr;
}

// lookups(deliver): returns { ask, hold } for this thread, or the number of an error
inline napi_value Open(napi_env env, napi_callback_info info) {
  napi_value callback, result, name;
  napi_valuetype type = napi_undefined;
  arguments(env, info, &callback, 1);
  napi_typeof(env, callback, &type);
  if (type != napi_function) return napi_throw_type_error(env, nullptr, "Expected a function"), nullptr;
  uv_loop_t* uv = nullptr;
  auto desk = new (std::nothrow) Desk();
  int status = desk == nullptr ? -ENOMEM : napi_get_uv_event_loop(env, &uv) == napi_ok ? desk->open(uv) : -ENOTSUP;
  if (status < 0) {
    delete desk;
    napi_create_int32(env, status, &result);
    return result;
  }
  desk->env = env;
  napi_create_reference(env, callback, 1, &desk->deliver);
  napi_create_string_utf8(env, "asyncsocket lookup", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &desk->context);
  napi_add_async_cleanup_hook(env, Desk::close, desk, &desk->cleanup);
  napi_create_object(env, &result);
  const std::pair<const char*, napi_callback> functions[] = {{"ask", Ask}, {"hold", Hold}};
  for (const auto& [key, function] : functions) {
    napi_value value;
    napi_create_function(env, key, NAPI_AUTO_LENGTH, function, desk, &value);
    napi_set_named_property(env, result, key, value);
  }
  return result;
}

}  // namespace lookup
