"""proxy - a network between the nodes and Redis: pass, slow (each piece waits `delay` seconds, both
ways), refuse (nothing listens)."""

import contextlib
import select
import socket
import threading
import time


class Proxy:
    def __init__(self, address, port, server):
        """Listens at once; `server`: has .address and .port, read anew for each connection."""
        self.place, self.server = (address, port), server
        self.mode, self.delay = "pass", 0
        self.connections, self.listener = [], None
        self.set("pass")

    def set(self, mode, delay=0):
        """From now on, for connections that are open too; `refuse` cuts those."""
        self.mode, self.delay = mode, delay
        if mode == "refuse":
            self._close()
            self.cut()
        elif self.listener is None:
            self.listener = socket.create_server(self.place, backlog=64)
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        self.set("refuse")

    def cut(self):
        """Ends all connections."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections = []

    def _close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection((self.server.address, self.server.port), 5)
            self.connections.append(server)
            self._carry(client, server)
        except OSError:
            pass
        finally:
            client.close()

    def _carry(self, client, server):
        other = {client: server, server: client}
        with server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    time.sleep(self.delay if self.mode == "slow" else 0)
                    other[source].sendall(data)
