"""mx - the receiving side: one small SMTP server per profile, which remembers all that it saw.

An outside sender's mistakes show here and nowhere else: was STARTTLS used, with which SNI, and was an
envelope or a message ever sent in the clear.
"""

import dataclasses
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import warnings

from lab.process import wait_until

SUFFIX = "mx.lab.test"
IDLE_S = 25
HANDSHAKE_S = 12  # a client may ask about the policy first, for 5 s
TEXT_MAX = 100_000  # what is remembered of a message


@dataclasses.dataclass(frozen=True)
class Profile:
    """How one MX presents itself. `names` are the DNS names in its certificate."""

    host: str
    names: tuple = ()
    days: int = 30
    from_day: int = 0         # its certificate is valid from then on
    self_signed: bool = False
    common_name: str = "lab"
    starttls: int = 220       # 0: not offered
    only_with_sni: bool = False
    stranger: bool = False    # the certificate's authority is known to nobody
    tls_1_0: bool = False     # no later version
    reset: bool = False       # in the handshake
    intermediate: str = ""    # its certificate is another authority's, whose own is "sent" or "missing"
    alias_of: str = ""        # its name is a CNAME


def profile(label, *names, **details):
    host = f"{label}.{SUFFIX}"
    return Profile(host, names or (host,), **details)


PROFILES = {
    "good": profile("good"),
    "second": profile("second"),
    "wildcard": Profile(f"a.wild.{SUFFIX}", (f"*.wild.{SUFFIX}",)),
    "sni-only": profile("sni-only", only_with_sni=True),
    "wrong-name": profile("wrong-name", f"elsewhere.{SUFFIX}"),
    "expired": profile("expired", days=-1),
    "self-signed": profile("self-signed", self_signed=True),
    "cn-only": Profile(f"cn-only.{SUFFIX}", (), common_name=f"cn-only.{SUFFIX}"),
    "no-starttls": profile("no-starttls", starttls=0),
    "starttls-454": profile("starttls-454", starttls=454),
    "bystander": profile("bystander", self_signed=True),
    "neighbours": profile("neighbours", self_signed=True),
    "unknown-ca": profile("unknown-ca", stranger=True),
    "tls-1.0": profile("tls-one-zero", tls_1_0=True),
    "reset": profile("reset", reset=True),
    "not-yet-valid": profile("not-yet-valid", from_day=1),
    "chain": profile("chain", intermediate="sent"),
    "chain-gap": profile("chain-gap", intermediate="missing"),
    "alias": profile("alias", alias_of=f"real.{SUFFIX}"),
    "alias-target": profile("alias-target", f"target.{SUFFIX}", alias_of=f"target.{SUFFIX}"),
}


@dataclasses.dataclass
class Session:
    """One connection: every command with whether it came under TLS, and what TLS was like."""

    mx: str
    began: float = dataclasses.field(default_factory=time.monotonic)
    commands: list = dataclasses.field(default_factory=list)  # (verb, argument, under TLS)
    handshake: bool = False  # STARTTLS was accepted
    tls: str = ""            # version, when the handshake succeeded
    sni: str = ""
    messages: list = dataclasses.field(default_factory=list)  # (recipients, under TLS)
    texts: list = dataclasses.field(default_factory=list)  # (what came after DATA, also cut short; under TLS)

    def in_clear(self):
        """The mail commands that were sent without TLS."""
        return [verb for verb, _, under_tls in self.commands
                if verb in ("MAIL", "RCPT", "DATA") and not under_tls]


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.session = Session(self.server.label)
        self.server.sessions.append(self.session)
        self.recipients = []
        self.connection.settimeout(IDLE_S)
        try:
            self._reply(f"220 {self.server.profile.host} ESMTP lab")
            while self._command():
                pass
        except OSError:  # the peer went away or did not like our certificate
            pass

    def _reply(self, *lines):
        for line in lines:
            self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def _command(self):
        line = self.rfile.readline(4096).decode(errors="replace").strip()
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        self.session.commands.append((verb, argument, bool(self.session.tls)))
        action = getattr(self, f"_on_{verb.lower()}", None)
        if not line or verb == "QUIT":
            self._reply("221 2.0.0 bye")
            return False
        if action:
            action(argument)
        else:
            self._reply("250 2.0.0 ok")
        return True

    def _on_ehlo(self, _argument):
        offer = self.server.profile.starttls and not self.session.tls
        self._reply(f"250-{self.server.profile.host}", *(["250-STARTTLS"] if offer else []), "250 8BITMIME")

    def _on_starttls(self, _argument):
        if self.server.profile.starttls != 220:
            self._reply("454 4.7.0 TLS not available")
            return
        self._reply("220 2.0.0 go ahead")
        self.session.handshake = True
        if self.server.profile.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            raise ConnectionResetError
        self.connection.settimeout(HANDSHAKE_S)
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.connection.settimeout(IDLE_S)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.session.tls = self.connection.version()
        self.session.sni = getattr(self.connection, "sni", "")

    def _on_rcpt(self, argument):
        self.recipients.append(argument.partition("<")[2].partition(">")[0])
        self._reply("250 2.1.5 ok")

    def _on_data(self, _argument):
        self._reply("354 go ahead")
        text, line = bytearray(), b""
        try:
            while line.rstrip(b"\r\n") != b".":
                line = self.rfile.readline(4096)
                if not line:
                    raise ConnectionResetError
                text += line[:TEXT_MAX - len(text)]
        finally:
            self.session.texts.append((text.decode(errors="replace"), bool(self.session.tls)))
        self.session.messages.append((self.recipients, bool(self.session.tls)))
        self.recipients = []
        self._reply("250 2.0.0 taken")


class Mx(socketserver.ThreadingTCPServer):
    """The server of one profile on its own address, port 25."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, label, address, ca):
        super().__init__((address, 25), Handler)
        self.label, self.address, self.profile, self.sessions = label, address, PROFILES[label], []
        self.host = self.profile.host
        self._make_context(ca)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        """What the peer's end of a connection does to us is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def _make_context(self, ca):
        mine = self.profile
        if mine.stranger:
            ca = ca.stranger()
        if mine.intermediate:
            ca = ca.intermediate()
        self.certificate = right = ca.issue(f"mx-{self.label}", mine.names, mine.common_name, mine.days, mine.self_signed,
                                            from_day=mine.from_day)
        if mine.intermediate == "sent":
            right.write_text(right.read_text() + ca.file.read_text())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if mine.only_with_sni:
            self.named_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.named_context.load_cert_chain(right)
            self.context.load_cert_chain(ca.issue(f"mx-{self.label}-default", [f"default.{SUFFIX}"]))
        else:
            self.context.load_cert_chain(right)
        self.context.sni_callback = self._on_sni
        if mine.tls_1_0:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore"):  # that it is deprecated is why
                self.context.minimum_version = self.context.maximum_version = ssl.TLSVersion.TLSv1

    def _on_sni(self, connection, name, _context):
        connection.sni = name or ""
        if self.profile.only_with_sni and name == self.host:
            connection.context = self.named_context

    def sessions_with(self, recipient):
        """The sessions in which a message for `recipient` was taken."""
        return [session for session in self.sessions
                if any(recipient in recipients for recipients, _ in session.messages)]

    def wait_for_session(self):
        return wait_until(lambda: self.sessions, f"no connection to {self.host}")[-1]

    def in_clear(self):
        """All mail commands that any session sent without TLS."""
        return [verb for session in self.sessions for verb in session.in_clear()]

    def stop(self):
        self.shutdown()
        self.server_close()


def start_all(ca):
    """One Mx per profile, from 127.0.5.101 on."""
    return {label: Mx(label, f"127.0.5.{101 + number}", ca) for number, label in enumerate(PROFILES)}


def records(started):
    """Where they are, for the DNS."""
    for one in started.values():
        yield (one.profile.alias_of or one.host, "A"), [one.address]
        if one.profile.alias_of:
            yield (one.host, "CNAME"), [f"{one.profile.alias_of}."]
