// What can be set of a socket and asked about it, as JavaScript calls it.

#pragma once

#include <uv.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>

#include <cstring>
#include <string>

#include "call.h"

namespace asyncsocket {

// descriptorOf(socket): returns the descriptor, which stays the socket's
inline napi_value DescriptorOf(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int32_t id;
  Slot* slot = call.socket(&id);
  return slot == nullptr ? nullptr : call.give(slot->fd);
}

// hasNews(socket): returns whether the system has an event that the socket is watched for
inline napi_value HasNews(napi_env env, napi_callback_info info) {
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
inline napi_value Set(napi_env env, napi_callback_info info) {
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
inline napi_value AddressOf(napi_env env, napi_callback_info info) {
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

}  // namespace asyncsocket
