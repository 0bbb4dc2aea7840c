"""strange - stands in front of sts-cached and answers late, wrongly, or not at all."""

import os
import pathlib
import socket
import socketserver
import threading
import time

from lab.daemons import QUERY_SOCKET

SOCKET = "/run/lab/strange.sock"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        request = self.request.recv(4096)
        time.sleep(self.server.delay_s)
        reply = self.server.reply
        try:
            self.request.sendall(ask(request) if reply is None else reply)
        except OSError:  # the asker's patience had an end
            pass


def ask(request):
    """What sts-cached itself answers to the request."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(QUERY_SOCKET)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


class StrangeCache(socketserver.ThreadingUnixStreamServer):
    """`delay_s` passes before each answer, which is `reply`, or the true one when that is None."""

    daemon_threads = True

    def __init__(self):
        pathlib.Path(SOCKET).parent.mkdir(exist_ok=True)
        super().__init__(SOCKET, Handler)
        os.chmod(SOCKET, 0o666)
        self.behave()

    def behave(self, delay_s=0, reply=None):
        self.delay_s, self.reply = delay_s, reply

    def start(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.shutdown()
        self.server_close()
