"""miltertalk - the MTA's side of the milter protocol, version 6, over a unix socket.

Speaks what Sendmail and Postfix speak, packet by packet, so that a test sees each reply and the
absence of one. Knows nothing of sts-milter.
"""

import dataclasses
import socket
import struct

ACTIONS_ALL = 0x1FF
STEPS_ALL = 0x1FFFFF
ADD_HEADERS, QUARANTINE, SET_MACROS = 0x01, 0x20, 0x100
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH = (1 << n for n in range(7))
NO_UNKNOWN, NO_DATA, NR_CONNECT = 0x100, 0x200, 0x1000


class Closed(Exception):
    """The milter has closed the connection."""


@dataclasses.dataclass
class Reply:
    """One packet of the milter: its command letter and the text behind it."""

    command: str
    text: str = ""

    @property
    def accepted(self):
        return self.command == "c"

    @property
    def code(self):
        return self.text[:3] if self.command == "y" else {"t": "451", "r": "550"}.get(self.command, "250")


class MilterTalk:
    """One connection to a milter; `negotiate` comes first."""

    def __init__(self, place, timeout=20):
        """`place`: the path of a unix socket, or (host, port)."""
        self.socket = socket.socket(socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(place)
        self.actions = self.steps = 0
        self.macros = {}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, command, payload=b""):
        self.socket.sendall(struct.pack("!I", len(payload) + 1) + command.encode() + payload)

    def _read(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed
            data += more
        return data

    def receive(self):
        """The next packet as (letter, bytes)."""
        size, = struct.unpack("!I", self._read(4))
        data = self._read(size)
        return data[:1].decode(), data[1:]

    def reply(self):
        command, data = self.receive()
        return Reply(command, data.rstrip(b"\0").decode("utf-8", "replace"))

    def negotiate(self, actions=ACTIONS_ALL, steps=STEPS_ALL):
        self.send("O", struct.pack("!III", 6, actions, steps))
        command, data = self.receive()
        assert command == "O", command
        _, self.actions, self.steps = struct.unpack("!III", data[:12])
        data = data[12:]
        while data:
            stage, = struct.unpack("!I", data[:4])
            names, _, data = data[4:].partition(b"\0")
            self.macros[stage] = names.decode().split()
        return self

    def set_macros(self, command, **values):
        """Macros for the next command. Names of more than one letter get their braces here."""
        pairs = "".join(f"{name if len(name) == 1 else '{' + name + '}'}\0{value}\0" for name, value in values.items())
        self.send("D", command.encode() + pairs.encode())

    def connect(self, host="client.test", address="192.0.2.1"):
        """None when the milter does not want the step, or no reply to it."""
        if self.steps & NO_CONNECT:
            return None
        family = b"6" if ":" in address else b"4"
        self.send("C", host.encode() + b"\0" + family + struct.pack("!H", 4711) + address.encode() + b"\0")
        return None if self.steps & NR_CONNECT else self.reply()

    def mail(self, sender="<me@sender.test>"):
        if self.steps & NO_MAIL:
            return None
        self.send("M", sender.encode() + b"\0")
        return self.reply()

    def rcpt_send(self, address, mailer="esmtp", host=None, queue_id="", **more):
        """Sends RCPT with its macros; the next hop is the recipient's domain if not given."""
        macros = {"rcpt_mailer": mailer, "rcpt_addr": address,
                  "rcpt_host": address.rpartition("@")[2] if host is None else host, **more}
        if queue_id:
            macros["i"] = queue_id
        self.set_macros("R", **{name: value for name, value in macros.items() if value is not False})
        self.send("R", f"<{address}>".encode() + b"\0")

    def rcpt(self, address, **options):
        self.rcpt_send(address, **options)
        return self.reply()

    def end_of_message(self, queue_id="QID1"):
        """All replies up to the last, which decides."""
        if queue_id:
            self.set_macros("E", i=queue_id)
        self.send("E")
        replies = [self.reply()]
        while replies[-1].command not in "catrydf":
            replies.append(self.reply())
        return replies

    def abort(self):
        self.send("A")

    def quit(self):
        self.send("Q")
        self.socket.close()
