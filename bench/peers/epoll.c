/*
 * The physical limit: the same servers in C on epoll, one thread, with nothing that the work does not need. Says its port,
 * and ends with its standard input. Compiled when the benchmark runs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, READY = 256, HEADER = 4 };

/* Bytes that wait: of a message that is not complete, or for a peer that does not read. */
struct bytes {
  char *data;
  size_t length, room;
};

struct connection {
  int fd, is_waiting;
  struct bytes in, out;
};

static char chunk[CHUNK];
static int epoll;
static char protocol;

static void keep(struct bytes *to, const char *data, size_t length) {
  if (to->length + length > to->room) {
    to->room = (to->length + length) * 2;
    to->data = realloc(to->data, to->room);
    if (to->data == NULL) abort();
  }
  memmove(to->data + to->length, data, length);
  to->length += length;
}

static void drop(struct bytes *from, size_t length) {
  from->length -= length;
  memmove(from->data, from->data + length, from->length);
  if (from->length == 0) {
    free(from->data);
    memset(from, 0, sizeof *from);
  }
}

static void watch(struct connection *one, int waits) {
  if (one->is_waiting == waits) return;
  one->is_waiting = waits;
  struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = one};
  epoll_ctl(epoll, EPOLL_CTL_MOD, one->fd, &event);
}

static void put(struct connection *one, const char *data, size_t length) {
  ssize_t sent = 0;
  if (one->out.length == 0 && (sent = send(one->fd, data, length, MSG_NOSIGNAL)) < 0) sent = 0;
  if ((size_t)sent < length) keep(&one->out, data + sent, length - (size_t)sent);
  watch(one, one->out.length > 0);
}

/* How many bytes of these are complete messages. */
static size_t complete(const char *data, size_t length) {
  if (protocol == 'e') return length;
  if (protocol != 'f') {
    const char *end = memrchr(data, '\n', length);
    return end == NULL ? 0 : (size_t)(end - data) + 1;
  }
  size_t at = 0;
  while (length - at >= HEADER) {
    uint32_t size;
    memcpy(&size, data + at, HEADER);
    size_t end = at + HEADER + ntohl(size);
    if (end > length) break;
    at = end;
  }
  return at;
}

static void done(struct connection *one) {
  close(one->fd);
  free(one->in.data);
  free(one->out.data);
  free(one);
}

static void take(struct connection *one) {
  ssize_t got = recv(one->fd, chunk, sizeof chunk, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return done(one);
  const char *data = chunk;
  size_t length = (size_t)got;
  if (one->in.length > 0) {
    keep(&one->in, chunk, length);
    data = one->in.data;
    length = one->in.length;
  }
  size_t whole = complete(data, length);
  if (whole > 0) put(one, data, whole);
  if (protocol == 'c' && whole > 0) shutdown(one->fd, SHUT_WR);
  if (one->in.length > 0) drop(&one->in, whole);
  else if (whole < length) keep(&one->in, data + whole, length - whole);
}

static void flush(struct connection *one) {
  ssize_t sent = send(one->fd, one->out.data, one->out.length, MSG_NOSIGNAL);
  if (sent > 0) drop(&one->out, (size_t)sent);
  watch(one, one->out.length > 0);
}

static void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct connection *one = calloc(1, sizeof *one);
    if (one == NULL) abort();
    one->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  protocol = argv[1][0];
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[READY];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  struct connection input = {.fd = 0};
  event.data.ptr = &input;
  epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
  for (;;) {
    int count = epoll_wait(epoll, events, READY, -1);
    for (int i = 0; i < count; i++) {
      struct connection *one = events[i].data.ptr;
      if (one == NULL) accept_all(listener);
      else if (one == &input) return 0;
      else if (events[i].events & EPOLLOUT) flush(one);
      else take(one);
    }
  }
}
