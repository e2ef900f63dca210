// On asio, one thread: one read and one write under way for each connection, all messages of a chunk answered at once.
#include <asio.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

using asio::ip::tcp;

static char protocol;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, asio::io_context &context) : socket_(std::move(socket)), timer_(context) {
    socket_.set_option(tcp::no_delay(true));
  }

  void read() {
    if (protocol == 'l' || protocol == 'c') expire();
    auto self = shared_from_this();
    if (used_ == in_.size()) in_.resize(in_.size() * 2);
    socket_.async_read_some(asio::buffer(in_.data() + used_, in_.size() - used_),
                            [self](std::error_code error, size_t length) {
                              if (error) return self->timer_.cancel(), void();
                              self->used_ += length;
                              self->answer();
                            });
  }

 private:
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::vector<char> in_ = std::vector<char>(64 * 1024);
  size_t used_ = 0;

  void expire() {
    std::weak_ptr<Session> self = weak_from_this();
    timer_.expires_after(std::chrono::seconds(30));
    timer_.async_wait([self](std::error_code error) {
      auto session = self.lock();
      if (!error && session) session->socket_.close();
    });
  }

  size_t complete() const {
    if (protocol == 'e') return used_;
    if (protocol != 'f') {
      auto end = static_cast<const char *>(memrchr(in_.data(), '\n', used_));
      return end == nullptr ? 0 : static_cast<size_t>(end - in_.data()) + 1;
    }
    size_t at = 0;
    while (used_ - at >= 4) {
      uint32_t size;
      std::memcpy(&size, in_.data() + at, 4);
      size_t end = at + 4 + ntohl(size);
      if (end > used_) break;
      at = end;
    }
    return at;
  }

  void answer() {
    size_t whole = complete();
    if (whole == 0) return read();
    auto self = shared_from_this();
    asio::async_write(socket_, asio::buffer(in_.data(), whole), [self, whole](std::error_code error, size_t) {
      if (error) return self->timer_.cancel(), void();
      self->used_ -= whole;
      std::memmove(self->in_.data(), self->in_.data() + whole, self->used_);
      std::error_code ignored;
      if (protocol == 'c') self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
      self->read();
    });
  }
};

static void accept(tcp::acceptor &acceptor, asio::io_context &context) {
  acceptor.async_accept([&](std::error_code error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket), context)->read();
    accept(acceptor, context);
  });
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  protocol = argv[1][0];
  asio::io_context context(1);
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  acceptor.listen(4096);
  accept(acceptor, context);
  std::cout << acceptor.local_endpoint().port() << std::endl;
  asio::posix::stream_descriptor input(context, 0);
  std::array<char, 1> byte;
  input.async_read_some(asio::buffer(byte), [&](std::error_code, size_t) { context.stop(); });
  context.run();
}
