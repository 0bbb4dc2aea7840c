"""Whoever reaches the milter's socket may send it anything: packets mutated by chance, by a seed that is printed.
STS_ATTACKS_LONG=1 sends more of them, STS_FAULT_SEED others."""

import os
import random
import socket
import struct

from miltertalk import ACTIONS_ALL, STEPS_ALL, Closed
from milterlab import wait_until
from test_milter import fixture_daemon, fixture_start  # noqa: F401  pylint: disable=unused-import

SESSIONS = 20_000 if os.environ.get("STS_ATTACKS_LONG") == "1" else 600
RIGHT = {"refuse.test": "451", "secure.test": "250"}


def packet(command, payload=b""):
    return struct.pack("!I", len(payload) + 1) + command + payload


NEGOTIATION = packet(b"O", struct.pack("!III", 6, ACTIONS_ALL, STEPS_ALL))
MACROS = packet(b"D", b"R{rcpt_mailer}\0esmtp\0{rcpt_host}\0refuse.test\0{rcpt_addr}\0u@refuse.test\0i\0Q1\0")
COMMANDS = (
    packet(b"C", b"client.test\x004" + struct.pack("!H", 4711) + b"192.0.2.1\0"), packet(b"M", b"<a@b.test>\0"), MACROS,
    packet(b"R", b"<u@refuse.test>\0"), packet(b"R", b"<u@secure.test>\0NOTIFY=NEVER\0"), packet(b"E"), packet(b"A"),
)


def odd_macros(choice):
    """A name without its value, which libmilter looks for behind its memory."""
    names = [b"i", b"{rcpt_host}", b"{rcpt_addr}", b"{rcpt_mailer}", b"x" * choice.randrange(64)]
    return packet(b"D", b"RCEMO"[choice.randrange(5):][:1] + b"\0".join(choice.choices(names, k=2 * choice.randrange(4) + 1)) +
                  choice.choice([b"", b"\0"]))


def flipped(choice):
    data = bytearray(choice.choice(COMMANDS + (NEGOTIATION,)))
    for _ in range(choice.randrange(1, 6)):
        data[choice.randrange(4, len(data))] = choice.randrange(256)
    return bytes(data)


def half(choice):
    """Its length is not that of what follows."""
    data = choice.choice(COMMANDS)
    return struct.pack("!I", choice.choice([0, 1, 7, len(data) - 3, len(data) + 9, 65535, 65537, 1 << 31, 0xFFFFFFFF])) + data[4:]


def large(choice):
    return packet(choice.choice([b"D", b"R", b"M", b"L", b"B"]), b"R" + b"y\0" * choice.randrange(30000, 40000))


def unknown(choice):
    return packet(bytes([choice.randrange(256)]), choice.randbytes(choice.randrange(40)))


def good(choice):
    return choice.choice(COMMANDS)


def abuse(path, choice):
    """One session: most begin well, so that what follows is read at all; nobody waits for replies."""
    kinds = [odd_macros, odd_macros, flipped, half, large, unknown, good, good, good]
    data = (NEGOTIATION if choice.random() < 0.9 else b"") + b"".join(
        choice.choice(kinds)(choice) for _ in range(choice.randrange(1, 7)))
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(2)
        talk.connect(path)
        try:
            talk.sendall(data)
            if choice.random() < 0.5:
                talk.shutdown(socket.SHUT_WR)
                while talk.recv(65536):
                    pass
        except OSError:
            pass


class Steady:
    """An MTA whose sessions go on meanwhile. One may be cut with its child; what it hears is right."""

    def __init__(self, milter):
        self.milter, self.talk, self.cuts = milter, None, 0

    def ask(self):
        try:
            if not self.talk:
                self.talk = self.milter.talk()
            for domain, code in RIGHT.items():
                assert self.talk.rcpt(f"u@{domain}").code == code, domain
        except (Closed, OSError):
            self.cuts += 1
            self.talk = None
            return False
        return True


def test_mutated_packets(start, daemon):
    """Odd macro lists, half commands, no length, more than 64 KiB, unknown commands, RCPT before MAIL: sessions
    beside them hear what is right; a child that libmilter makes crash is replaced."""
    daemon.answers = {"refuse.test": ("refuse", "mx-not-listed"), "secure.test": ("secure", "ok")}
    seed = int(os.environ.get("STS_FAULT_SEED", "7"))
    print(f"again with STS_FAULT_SEED={seed}")
    choice = random.Random(seed)
    milter = start(processes="2")
    steady = Steady(milter)
    for number in range(SESSIONS):
        abuse(milter.socket, choice)
        if number % 5 == 0:
            steady.ask()
    wait_until(lambda: len(milter.children) == 2 and steady.ask(), "two children again", 40)
    print(f"{milter.log.count('the next one starts')} children died, {steady.cuts} sessions were cut")
    assert steady.cuts < SESSIONS / 5 / 4
