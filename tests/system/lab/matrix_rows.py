"""matrix_rows - the kinds of receiver in the matrix: what must become of mail to each, and what an MTA must log."""

import dataclasses

MTAS = ("sendmail", "postfix", "exim")
ELSEWHERE = ("mail.elsewhere.example",)
CERTIFICATES = ("wrong-name", "expired", "not-yet-valid", "self-signed", "unknown-ca", "cn-only", "chain-gap")
HANDSHAKES = ("tls-1.0", "reset")
FAULTS = (*CERTIFICATES, "no-starttls", "starttls-454", *HANDSHAKES)
GOOD = ("good", "wildcard", "sni-only", "chain")

# What the MTA's log must say of a deferral, by the MX that is at fault; each MTA has its own words.
CERTIFICATE = "certificate|authentication failed"
CAUSES = {**dict.fromkeys((*CERTIFICATES, "bystander", "neighbours", "alias-target"), CERTIFICATE),
          "no-starttls": "does not support STARTTLS|not offer", "starttls-454": "454|authentication failure",
          **dict.fromkeys(HANDSHAKES, "handshake"),
          "daemon-down": "policy service|STS lookup temp fail|client TLS configuration problem"}

# What must become of a message.
VERIFIED = "verified"       # delivered over TLS with a verified certificate and SNI
DELIVERED = "delivered"     # delivered, with what security there is
DEFERRED = "deferred"       # kept with a 4.x.x code, and never a command about it in the clear
REFUSED = "refused"         # the sender heard 451 4.7.5 at RCPT, and no MX anything
RETURNED = "returned"       # a permanent failure: there is nobody to send it to

# Cells that the MTA itself cannot do right: what it does instead, and why.
LIMITS = {
    ("enforce, cn-only", "postfix"): (VERIFIED, "Postfix up to 3.9 takes the common name where no DNS name is"),
    **{(f"{policy}, reset", "postfix"): (DEFERRED, "Postfix falls back to clear text once the mail is minimal_backoff_time old")
       for policy in ("no policy", "testing")},
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
    special: str = ""    # implicit-mx, null-mx, cname, daemon-down


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
    yield Row("enforce, daemon down", ("good",), DEFERRED, "enforce", special="daemon-down")
    yield Row("no policy, daemon down", ("good",), DEFERRED, special="daemon-down")


ROWS = tuple(rows())
