"""dnsserver - a recursive resolver as far as sts-cached can tell, which lies when a test wants it to.

Answers from `records` over UDP and TCP on one loopback port, follows CNAMEs as resolvers do, counts
questions. Knows nothing of MTA-STS.
"""

import dataclasses
import socket
import socketserver
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
RESPONSE, TRUNCATED, RECURSION = 0x8000, 0x0200, 0x0180
UDP_SIZE = 1232
CHAIN_MAX = 16


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(data, at):
    labels = []
    while size := data[at]:
        labels.append(data[at + 1:at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    return ".".join(labels), at + 1


def txt(*strings):
    """The rdata of one TXT record; a text longer than 255 bytes becomes several strings."""
    data = b""
    for text in strings:
        text = text.encode() if isinstance(text, str) else text
        for at in range(0, max(len(text), 1), 255):
            piece = text[at:at + 255]
            data += bytes([len(piece)]) + piece
    return data


def mx(preference, host):
    return struct.pack("!H", preference) + wire_name(host)


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def record(name, kind, ttl, rdata):
    return wire_name(name) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(rdata)) + rdata


def soa(name):
    numbers = struct.pack("!5I", 1, 60, 60, 60, 60)
    return record(name, "SOA", 60, wire_name("ns.test") + wire_name("root.test") + numbers)


@dataclasses.dataclass
class Answer:
    """`rdata` of one name and type. `fault`: silent, wrong-id, wrong-question, garbage, short,
    truncated-tcp (TC over TCP, too), tcp-refused, not-a-reply, count-lie, cname-only, wrong-id-first,
    foreign (the records belong to another name), upper-case (their owner), other-source-first (NXDOMAIN from
    another port before the true reply), lying-cut (the UDP reply has TC set, and `lie` for its records).
    `turns`: the rdata of one query after the other, the last for all further ones. `make`: called with the
    question's length, gives the bytes of the answer section and how many records it says there are."""

    rdata: list = dataclasses.field(default_factory=list)
    ttl: int = 300
    rcode: int = NOERROR
    fault: str = ""
    delay: float = 0
    lie: bytes = b""
    turns: list = dataclasses.field(default_factory=list)
    make: object = None

    def next_rdata(self):
        if self.turns:
            self.rdata = self.turns.pop(0)
        return self.rdata


class DnsServer:
    def __init__(self):
        self.records, self.counts, self.lock = {}, {}, threading.Lock()
        self.deaf = False  # to every question
        self.udp, self.tcp = self._bind()
        self.port = self.udp.getsockname()[1]
        for run in (self._serve_udp, self.tcp.serve_forever):
            threading.Thread(target=run, daemon=True).start()

    def _bind(self):
        """One port that is free for UDP and for TCP."""
        server = self

        class Stream(socketserver.StreamRequestHandler):
            def handle(self):
                size, = struct.unpack("!H", self.rfile.read(2))
                reply = server._reply(self.rfile.read(size), True)
                if reply:
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, request, client_address):
                """A client that goes away is no error here."""

        for _ in range(50):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            udp.bind(("127.0.0.1", 0))
            try:
                return udp, Server(udp.getsockname(), Stream)
            except OSError:
                udp.close()
        raise RuntimeError("no port is free for both UDP and TCP")

    def stop(self):
        if self.udp.fileno() < 0:
            return
        self.tcp.shutdown()
        self.tcp.server_close()
        self.udp.close()

    def put(self, name, kind, *rdata, **options):
        """Sets what is answered; anything else at a name that exists is NODATA, else NXDOMAIN."""
        self.records[name.lower(), kind] = Answer(list(rdata), **options)

    def remove(self, name, kind):
        self.records.pop((name.lower(), kind), None)

    def count(self, name, kind):
        return self.counts.get((name.lower(), kind), 0)

    def _serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            try:
                self._answer_udp(query, peer)
            except (IndexError, struct.error, OSError):
                continue

    def _answer_udp(self, query, peer):
        answer = self._find(query)[2]
        reply = self._reply(query, False)
        if reply and answer and answer.fault == "wrong-id-first":
            self.udp.sendto(bytes([reply[0] ^ 0xFF]) + reply[1:], peer)
        if reply and answer and answer.fault == "other-source-first":
            end = self._find(query)[3]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                head = struct.pack("!5H", RESPONSE | RECURSION | NXDOMAIN, 1, 0, 0, 0)
                stranger.sendto(query[:2] + head + query[12:end], peer)
            time.sleep(0.05)  # it is there first
        if reply and answer and answer.delay:
            threading.Timer(answer.delay, self.udp.sendto, (reply, peer)).start()
        elif reply:
            self.udp.sendto(reply, peer)

    def _find(self, query):
        name, end = read_name(query, 12)
        number, = struct.unpack("!H", query[end:end + 2])
        kind = next((kind for kind, value in TYPES.items() if value == number), str(number))
        name = name.lower()
        return name, kind, self.records.get((name, kind)) or self.records.get((name, "CNAME")), end + 4

    def _reply(self, query, is_tcp):
        name, kind, answer, end = self._find(query)
        with self.lock:
            self.counts[name, kind] = self.counts.get((name, kind), 0) + 1
        question, fault = query[12:end], answer.fault if answer else ""
        rcode, body, count, authority = self._look_up(name, kind)
        flags = RESPONSE | RECURSION | rcode
        ident = query[:2]
        if fault == "silent" or self.deaf:
            return None
        if fault == "garbage":
            return ident + b"\xff" * 60
        if fault == "wrong-id":
            ident = bytes([ident[0] ^ 0xFF, ident[1]])
        if fault == "wrong-question":
            question = wire_name("other.test") + question[-4:]
        if fault == "not-a-reply":
            flags &= ~RESPONSE
        if fault == "count-lie":
            count += 5
        if fault == "tcp-refused" and is_tcp:
            return None
        size = 12 + len(question) + len(body) + len(authority)
        if (not is_tcp and (size > UDP_SIZE or fault in ("truncated", "tcp-refused"))) or fault == "truncated-tcp":
            flags, body, count, authority = flags | TRUNCATED, b"", 0, b""
        if fault == "lying-cut" and not is_tcp:
            flags, body, count, authority = flags | TRUNCATED, record(name, kind, 300, answer.lie), 1, b""
        reply = ident + struct.pack("!5H", flags, 1, count, 1 if authority else 0, 0) + question + body + authority
        return reply[:-7] if fault == "short" else reply

    def _look_up(self, name, kind):
        """rcode, answer section, its count, authority section; CNAMEs are followed."""
        body, count = b"", 0
        for _ in range(CHAIN_MAX):
            answer = self.records.get((name, kind))
            if answer:
                name = {"foreign": "other.test", "upper-case": name.upper()}.get(answer.fault, name)
                if answer.make:
                    return (answer.rcode, *answer.make(len(wire_name(name)) + 4), b"")
                rdata = answer.next_rdata()
                body += b"".join(record(name, kind, answer.ttl, one) for one in rdata)
                count += len(rdata)
                return answer.rcode, body, count, b"" if count or answer.rcode else soa("test")
            alias = self.records.get((name, "CNAME"))
            if alias is None:
                break
            body += record(name, "CNAME", alias.ttl, alias.rdata[0])
            count += 1
            name = read_name(alias.rdata[0], 0)[0].lower()
            if alias.fault == "cname-only":
                return NOERROR, body, count, b""
        known = any(key[0] == name for key in list(self.records))  # cases add records meanwhile
        return NOERROR if known else NXDOMAIN, body, count, soa("test")
