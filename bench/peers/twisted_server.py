"""On Twisted, with the protocols that it has for lines and frames."""

import sys

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import protocol, reactor, stdio  # noqa: E402
from twisted.protocols import basic, policies  # noqa: E402


class Echo(protocol.Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data):
        self.transport.write(data)


class Lines(basic.LineOnlyReceiver, policies.TimeoutMixin):
    delimiter = b"\n"
    MAX_LENGTH = 8192

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        self.setTimeout(30)

    def lineReceived(self, line):
        self.resetTimeout()
        self.sendLine(line)


class Churn(Lines):
    def lineReceived(self, line):
        self.sendLine(line)
        self.transport.loseConnection()


class Frames(basic.Int32StringReceiver):
    MAX_LENGTH = 1 << 20

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def stringReceived(self, string):
        self.sendString(string)


class Input(protocol.Protocol):
    def connectionLost(self, reason=None):
        if reactor.running:
            reactor.stop()


factory = protocol.Factory()
factory.protocol = {"echo": Echo, "lines": Lines, "frames": Frames, "churn": Churn}[sys.argv[1]]
factory.noisy = False
port = reactor.listenTCP(0, factory, backlog=4096, interface="127.0.0.1")
print(port.getHost().port, flush=True)
stdio.StandardIO(Input())
reactor.run()
