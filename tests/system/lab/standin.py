"""standin - what answers an MTA's questions in sts-cached's place: late, or with nonsense.

How it answers goes by the domain that is asked about, so that all ways are tried at the same time.
"""

import os
import re
import socket
import socketserver
import threading
import time

from lab.daemons import QUERY_SOCKET

INET = ("127.0.0.1", 8461)
REQUEST = re.compile(rb"\w+ ([^/ ]+)")


def frame(text):
    return b"%d:%b," % (len(text), text.encode())


class Way:
    """After `delay_s` seconds one answer: true, or these bytes, after which the connection ends."""

    def __init__(self, delay_s=0, answer=None):
        self.delay_s, self.answer = delay_s, answer


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.connection.settimeout(60)
        try:
            while self._answer():
                pass
        except OSError:  # it did not wait
            pass

    def _answer(self):
        size = b""
        while not size.endswith(b":"):
            byte = self.rfile.read(1)
            if not byte:
                return False
            size += byte
        asked = REQUEST.match(self.rfile.read(int(size[:-1]) + 1)[:-1])
        name = asked.group(0).partition(b" ")[0].decode()
        way, patterns = self.server.ways.get(asked.group(1).decode().lower(), (Way(), None))
        time.sleep(way.delay_s)
        self.wfile.write(frame(truth(name, patterns)) if way.answer is None else way.answer)
        self.wfile.flush()
        return way.answer is None


def truth(name, patterns):
    """As sts-cached says it; without patterns the domain has no policy."""
    if name == "stsmx":
        return "OK ok"
    return f"OK secure match={':'.join(patterns)} servername=hostname" if patterns else "NOTFOUND "


class Inet(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128


class Unix(Inet):
    address_family = socket.AF_UNIX


class StandIn:
    """`ways`: domain -> (Way, MX patterns or None). It serves on sts-cached's own query sockets, or on the
    unix socket `path` alone."""

    def __init__(self, ways, path=None):
        self.ways, self.path = ways, path or QUERY_SOCKET
        if os.path.lexists(self.path):
            os.unlink(self.path)
        self.servers = [Unix(self.path, Handler)] + ([] if path else [Inet(INET, Handler)])
        os.chmod(self.path, 0o666)
        for server in self.servers:
            server.ways = ways

    def start(self):
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        os.unlink(self.path)
