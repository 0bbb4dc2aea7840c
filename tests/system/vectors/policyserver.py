"""policyserver - all policy hosts of the tests behind one TLS port on two addresses, chosen by SNI.

A host is a Host: its certificate, its TLS versions and the bytes it sends. Knows nothing of policies.
"""

import dataclasses
import socket
import ssl
import threading
import time
import warnings

HANG_MAX = 60
ADDRESS, OTHER_ADDRESS = "127.0.0.1", "127.0.0.3"


@dataclasses.dataclass
class Host:
    """`raw` is sent as one piece, or in pieces of `drip` bytes with `pause` seconds before each.
    `end`: close (with close_notify), cut (without), hang (nothing more, connection open);
    before TLS: refuse-tls, hang-tls."""

    raw: bytes = b""
    certificate: str = ""
    version: object = None
    before: float = 0
    drip: int = 0
    pause: float = 0
    end: str = "close"
    requests: list = dataclasses.field(default_factory=list)


def http(body=b"", status="200 OK", kind="text/plain", headers=(), framing="length", length=None):
    """The bytes of a reply. `framing`: length, chunked, none; `length` overrides the true one."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}"] + ([f"Content-Type: {kind}"] if kind is not None else []) + list(headers)
    if framing == "length":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(body, 7)) + b"0\r\n\r\n"
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


class PolicyServer:
    def __init__(self, default_certificate):
        self.hosts, self.contexts = {}, {}
        self.default_certificate = default_certificate
        self.listeners = [socket.create_server((ADDRESS, 0), backlog=512)]
        self.port = self.listeners[0].getsockname()[1]
        self.listeners.append(socket.create_server((OTHER_ADDRESS, self.port), backlog=512))
        for listener in self.listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self):
        """Nothing listens there any more."""
        for listener in self.listeners:
            if listener.fileno() >= 0:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _context(self, host):
        key = str(host.certificate or self.default_certificate), host.version
        if key not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if host.version:
                context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
                    context.minimum_version = context.maximum_version = host.version
            context.load_cert_chain(key[0])
            self.contexts[key] = context
        return self.contexts[key]

    def _serve(self, connection):
        """The ClientHello is only peeked at: its SNI decides with what context it is answered."""
        connection.settimeout(HANG_MAX)
        try:
            name = sni_of(connection)
            host = self.hosts.get(name)
            if host is None or host.end == "refuse-tls":
                connection.close()
                return
            if host.end == "hang-tls":
                connection.recv(1)
                time.sleep(HANG_MAX)
                return
            with self._context(host).wrap_socket(connection, server_side=True) as stream:
                self._talk(stream, name, host)
        except (OSError, ValueError):
            connection.close()

    def _talk(self, stream, name, host):
        request = b""
        while b"\r\n\r\n" not in request:
            more = stream.recv(4096)
            if not more:
                return
            request += more
        host.requests.append(request.decode("latin-1"))
        time.sleep(host.before)
        for piece in pieces(host.raw, host.drip) if host.drip else [host.raw]:
            time.sleep(host.pause)
            stream.sendall(piece)
        if host.end == "hang":
            stream.recv(1)
        elif host.end == "close":
            stream.unwrap()


def sni_of(connection):
    """The server name in a ClientHello that is left unread in the socket."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        hello = connection.recv(16384, socket.MSG_PEEK)
        if len(hello) >= 5 and len(hello) >= 5 + int.from_bytes(hello[3:5], "big"):
            return find_sni(hello)
        time.sleep(0.01)
    raise ValueError("no ClientHello")


def find_sni(hello):
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 2
    while at + 4 <= end:
        kind, size = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        if kind == 0:
            return hello[at + 9:at + 4 + size].decode("ascii")
        at += 4 + size
    raise ValueError("no SNI")
