"""matrix_rows - the kinds of receiver in the matrix: what must become of mail to each, and what an MTA must log."""

import dataclasses

from lab.standin import Way

MTAS = ("sendmail", "postfix", "exim")
ELSEWHERE = ("mail.elsewhere.example",)
CERTIFICATES = ("wrong-name", "expired", "not-yet-valid", "self-signed", "unknown-ca", "cn-only", "chain-gap")
HANDSHAKES = ("tls-1.0", "reset")
FAULTS = (*CERTIFICATES, "no-starttls", "starttls-454", *HANDSHAKES)
GOOD = ("good", "wildcard", "sni-only", "chain")

# What may be the matter with the policy service. The milter is stopped, too, where it could hide what the
# maps do: in all but the first.
DOWN, ALL_DOWN = "daemon down", "daemon and milter down"
WAYS = {
    "daemon 3 s late": Way(delay_s=3),
    "daemon 7 s late": Way(delay_s=7),
    "daemon without netstrings": Way(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "daemon closing": Way(answer=b""),
    "daemon cutting its answer": Way(answer=b"51:OK secure match=go"),
}

# What the MTA's log must say of a deferral, by the MX or the daemon that is at fault; each MTA has its own words.
CERTIFICATE = "certificate|authentication failed"
SERVICE = "policy service|STS lookup temp fail|client TLS configuration problem"
CAUSES = {**dict.fromkeys((*CERTIFICATES, "bystander", "neighbours", "alias-target"), CERTIFICATE),
          "no-starttls": "does not support STARTTLS|not offer", "starttls-454": "454|authentication failure",
          **dict.fromkeys(HANDSHAKES, "handshake"), **dict.fromkeys((DOWN, ALL_DOWN, *WAYS), SERVICE)}

# What must become of a message.
VERIFIED = "verified"       # delivered over TLS with a verified certificate and SNI
DELIVERED = "delivered"     # delivered, with what security there is
DEFERRED = "deferred"       # kept with 4.7.x and its cause, and neither recipient nor text ever in the clear
REFUSED = "refused"         # the sender heard 451 4.7.5 at RCPT, and no MX anything
RETURNED = "returned"       # a permanent failure: there is nobody to send it to

# Cells that the MTA itself cannot do right: what it does instead, and why.
LIMITS = {
    ("enforce, cn-only", "postfix"): (VERIFIED, "Postfix up to 3.9 takes the common name where no DNS name is"),
    **{(f"{policy}, reset", "postfix"): (DEFERRED, "Postfix falls back to clear text once the mail is minimal_backoff_time old")
       for policy in ("no policy", "testing")},
}


# What an MTA logs in the place of a 4.7.x when a receiver is at fault, and why.
OWN_CODES = {
    "exim": (r"\(-3[78]\)", "it has numbers of its own: (-37) TLS failed, (-38) TLS was required and not offered"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of receiving domain. `mx` are MX profiles by preference; `at`: who takes the message."""

    name: str
    mx: tuple
    right: str
    mode: str = None
    listed: tuple = None
    at: str = ""
    beside: str = ""     # the same envelope has a recipient in a domain of this row, too
    special: str = ""    # implicit-mx, null-mx, cname
    daemon: str = ""     # what is the matter with it: DOWN, ALL_DOWN, one of WAYS
    queued: str = ""     # waits in the queue meanwhile and is tried again when the policy is that: a mode, or "mended"
    but: tuple = ()      # (MTA, what is right for it) where that differs

    def right_for(self, mta):
        return dict(self.but).get(mta, self.right)


def rows():
    yield Row("no policy", ("good",), DELIVERED, at="good")
    for fault in HANDSHAKES:
        yield Row(f"no policy, {fault}", (fault,), DELIVERED, at=fault)
    for fault in FAULTS:
        yield Row(f"testing, {fault}", (fault,), DELIVERED, "testing", at=fault)
    yield Row("testing, MX not listed", ("good",), DELIVERED, "testing", ELSEWHERE, at="good")
    for good in GOOD:
        yield Row(f"enforce, {good}", (good,), VERIFIED, "enforce", at=good)
    for fault in FAULTS:
        yield Row(f"enforce, {fault}", (fault,), DEFERRED, "enforce", at=fault)
    yield Row("enforce, MX not listed", ("good",), REFUSED, "enforce", ELSEWHERE)
    yield Row("enforce, first MX bad, second good", ("expired", "second"), VERIFIED, "enforce", at="second")
    yield Row("enforce, first MX not listed", ("good", "second"), VERIFIED, "enforce", ("second",), at="second")
    yield Row("enforce, no MX record", ("good",), VERIFIED, "enforce", at="good", special="implicit-mx")
    yield Row("enforce, MX is a CNAME", ("alias",), VERIFIED, "enforce", at="alias")
    yield Row("enforce, MX is a CNAME, its certificate the target's", ("alias-target",), DEFERRED, "enforce", at="alias-target")
    yield Row("enforce, domain is a CNAME", ("good",), VERIFIED, "enforce", at="good", special="cname")
    yield Row("enforce, domain is a CNAME, MX not listed", ("good",), REFUSED, "enforce", ELSEWHERE, special="cname")
    yield Row("enforce, null MX", (), RETURNED, "enforce", ELSEWHERE, special="null-mx")
    yield Row("no policy, null MX", (), RETURNED, special="null-mx")
    yield Row("two enforced at one MX", ("good",), VERIFIED, "enforce", at="good", beside="enforced")
    yield Row("two enforced at one bad MX", ("neighbours",), DEFERRED, "enforce", at="neighbours", beside="enforced")
    yield Row("enforced beside plain, one MX", ("bystander",), DEFERRED, "enforce", at="bystander", beside="plain")
    yield Row("plain beside enforced, one MX", ("bystander",), DELIVERED, at="bystander", beside="enforced")
    yield Row("plain and enforced in one queue run: plain", ("bystander",), DELIVERED, at="bystander", queued="none")
    yield Row("plain and enforced in one queue run: enforced", ("bystander",), DEFERRED, "enforce", at="bystander", queued="enforce")
    yield Row("enforce, mended while queued", ("bystander",), VERIFIED, "enforce", at="second", queued="mended")
    yield Row("no policy, enforced while queued", ("bystander",), DEFERRED, at="bystander", queued="enforce")
    yield Row("enforce, withdrawn while queued", ("bystander",), DELIVERED, "enforce", at="bystander", queued="none")
    yield from rows_of_daemons()


def rows_of_daemons():
    """What cannot be told from an enforcing domain waits as that does; an answer, though late, lets it go."""
    for way in (DOWN, ALL_DOWN, *WAYS):
        in_time = {"daemon 3 s late": MTAS, "daemon 7 s late": ("postfix",)}.get(way, ())  # the others wait 5 s
        for policy, mx, mode, sent in (("enforce", "good", "enforce", VERIFIED), ("no policy", "bystander", None, DELIVERED)):
            yield Row(f"{policy}, {way}", (mx,), sent if in_time == MTAS else DEFERRED, mode, at=mx, daemon=way,
                      but=tuple((mta, sent) for mta in in_time))


ROWS = tuple(rows())
