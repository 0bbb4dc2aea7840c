"""asker - a client of the query and control sockets: netstrings, nothing more."""

import re
import socket


class Closed(Exception):
    """The daemon has closed the connection."""


def frame(text):
    data = text.encode() if isinstance(text, str) else text
    return b"%d:%s," % (len(data), data)


class Asker:
    def __init__(self, place, timeout=20):
        """`place`: the path of a unix socket, or (host, port)."""
        self.socket = socket.socket(socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(place if isinstance(place, tuple) else str(place))
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, request):
        self.socket.sendall(frame(request))

    def receive(self):
        while True:
            found = re.match(rb"(\d+):", self.unread)
            if found and len(self.unread) > found.end() + int(found[1]):
                end = found.end() + int(found[1])
                reply, comma = self.unread[found.end():end], self.unread[end:end + 1]
                assert comma == b",", self.unread
                self.unread = self.unread[end + 1:]
                return reply.decode()
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed
            self.unread += more

    def ask(self, request):
        self.send(request)
        return self.receive()


def verdict_fields(reply):
    """The keys of a `verdict` reply, whose order and completeness are checked here."""
    assert reply.startswith("OK "), reply
    pairs = [pair.partition("=")[::2] for pair in reply[3:].split(" ")]
    assert [key for key, _ in pairs] == ["verdict", "domain", "mode", "id", "max_age", "expires", "mx", "hosts",
                                         "source", "reason"], reply
    return dict(pairs)
