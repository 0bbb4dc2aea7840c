"""matrix - each MTA against each fault of a receiver: contrib/matrix prints it, test_matrix.py asserts each cell.

All messages of a column are under way at the same time; a cell is judged by what the MX saw, and by the
code and the reason that the MTA logged.
"""

import dataclasses
import re
import sys

from lab import client
from lab.process import NotReady
from lab.world import Lab, Outcome

MTAS = ("sendmail", "postfix", "exim")
ELSEWHERE = ("mail.elsewhere.example",)
FAULTS = ("wrong-name", "expired", "self-signed", "unknown-ca", "cn-only", "no-starttls", "starttls-454",
          "tls-1.0", "reset")
GOOD = ("good", "wildcard", "sni-only")

# What the MTA's log must say of a deferral, by the MX that is at fault; each MTA has its own words.
CERTIFICATE = "certificate|authentication failed"
CAUSES = {**dict.fromkeys(("wrong-name", "expired", "self-signed", "unknown-ca", "cn-only", "bystander"), CERTIFICATE),
          "no-starttls": "does not support STARTTLS|not offer", "starttls-454": "454|authentication failure",
          "tls-1.0": "handshake", "reset": "handshake",
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
    special: str = ""    # implicit-mx, null-mx, daemon-down


def rows():
    yield Row("no policy", ("good",), DELIVERED, at="good")
    for fault in FAULTS:
        if fault not in ("tls-1.0", "reset"):  # these no MTA could deliver over TLS, and may try in the clear or not
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
    yield Row("enforce, null MX", (), RETURNED, "enforce", ELSEWHERE, special="null-mx")
    yield Row("no policy, null MX", (), RETURNED, special="null-mx")
    yield Row("enforced beside plain, one MX", ("bystander",), DEFERRED, "enforce", at="bystander", beside="plain")
    yield Row("plain beside enforced, one MX", ("bystander",), DELIVERED, at="bystander", beside="enforced")
    yield Row("enforce, daemon down", ("good",), DEFERRED, "enforce", special="daemon-down")
    yield Row("no policy, daemon down", ("good",), DEFERRED, special="daemon-down")
    yield Row("two enforced at one MX", ("good",), VERIFIED, "enforce", at="good", beside="enforced")


ROWS = tuple(rows())


@dataclasses.dataclass
class Cell:
    """What became of it, and whether that is right."""

    row: Row
    mta: str
    fate: str
    told: str

    @property
    def limit(self):
        """Why the MTA cannot do better; empty when it must."""
        return LIMITS.get((self.row.name, self.mta), ("", ""))[1]

    @property
    def right(self):
        return self.fate == LIMITS.get((self.row.name, self.mta), (self.row.right,))[0]


def domain_of(lab, row):
    if row.special == "implicit-mx":
        domain = lab.domain(name=lab.mx[row.mx[0]].host)
        lab.dns.change({(domain.name, "MX"): []})
        domain.set_policy("enforce", [domain.name])
        return domain
    listed = [lab.mx[one].host if one in lab.mx else one for one in row.listed] if row.listed else None
    domain = lab.domain(*row.mx, mode=row.mode, listed=listed)
    if row.special == "null-mx":
        lab.dns.change({(domain.name, "MX"): ["0 ."]})
    return domain


class Column:
    """All rows with one MTA: everything is sent, then everything is judged."""

    def __init__(self, lab, name, mta):
        self.lab, self.name, self.mta, self.sent = lab, name, mta, []

    def send(self, daemon_down):
        for number, row in enumerate(ROWS):
            if (row.special == "daemon-down") != daemon_down:
                continue
            recipients = [domain_of(self.lab, row).address(f"{self.name}{number}")]
            if row.beside:
                beside = self.lab.domain(*row.mx, mode="enforce" if row.beside == "enforced" else None)
                recipients.append(beside.address(f"{self.name}{number}"))
            self.sent.append((row, recipients[0], client.submit(*recipients, address=self.mta.address)))

    def cells(self):
        """Judges what has been sent since."""
        sent, self.sent = self.sent, []
        return [self._judge(row, recipient, submission) for row, recipient, submission in sent]

    def _judge(self, row, recipient, submission):
        code, text = submission.replies[recipient]
        outcome = Outcome(recipient, code, text, submission.queue_id)
        if code == 250:
            try:
                outcome.delivery = self.mta.wait_for_delivery(submission.queue_id, recipient)
                outcome.verify = self.mta.verify(outcome.delivery)
            except NotReady:
                return Cell(row, self.name, "lost", "no attempt is logged")
        fate, told = self._fate(row, outcome)
        return Cell(row, self.name, fate, told)

    def _fate(self, row, outcome):
        takers = {label: one.sessions_with(outcome.recipient) for label, one in self.lab.mx.items()}
        takers = {label: sessions[-1] for label, sessions in takers.items() if sessions}
        if row.mode == "enforce" and self._in_clear(outcome.recipient):
            return "LEAKED", "a command in the clear"
        if outcome.code == 451 and row.special == "daemon-down":
            return DEFERRED if not takers else "delivered all the same", f"{outcome.code} {outcome.text}"
        if outcome.code != 250:
            wanted = "4.7.5" if outcome.code == 451 else "5."
            named = outcome.text.startswith(wanted) and not takers
            return (REFUSED if outcome.code == 451 else RETURNED) if named else "refused otherwise", \
                f"{outcome.code} {outcome.text}"
        if not outcome.sent:
            failed = outcome.delivery.dsn.startswith("5.") or getattr(outcome.delivery, "failed", False)
            fate = RETURNED if failed and not outcome.deferred else DEFERRED
            told = self.mta.reason(outcome.delivery)
            cause = CAUSES.get(row.special or row.at)
            if fate == DEFERRED and (not cause or not re.search(cause, told)):
                return "deferred, no cause", told
            return (fate if not takers else "delivered all the same"), told
        if list(takers) != [row.at]:
            return f"delivered to {list(takers)}", ""
        session = takers[row.at]
        verified = outcome.verify == "OK" and session.tls and session.sni == self.lab.mx[row.at].host
        if row.right == DELIVERED:
            return DELIVERED, f"{session.tls or 'in the clear'}"
        return (VERIFIED if verified else "delivered unverified"), f"{session.tls}, SNI {session.sni}"

    def _in_clear(self, recipient):
        return any(verb == "RCPT" and recipient in argument and not under_tls for one in self.lab.mx.values()
                   for session in one.sessions for verb, argument, under_tls in session.commands)


def send_and_judge(columns, daemon_down=False):
    lab = columns[0].lab
    if daemon_down:
        lab.daemons.cached.stop()
    for column in columns:
        column.send(daemon_down)
    cells = [cell for column in columns for cell in column.cells()]
    lab.restart_what_is_down()
    return cells


def play(lab):
    """All cells."""
    lab.forget_sessions()
    columns = [Column(lab, name, mta) for name, mta in (
        ("sendmail", lab.mta), ("postfix", lab.postfix()),
        ("exim", lab.exim("exim-matrix", "127.0.5.40")))]
    return [*send_and_judge(columns), *send_and_judge(columns, daemon_down=True)]


def print_matrix(cells):
    found = {(cell.row.name, cell.mta): cell for cell in cells}
    width = max(len(row.name) for row in ROWS) + 2
    print("receiver".ljust(width) + "".join(mta.ljust(14) for mta in MTAS) + "must be")
    for row in ROWS:
        line = row.name.ljust(width)
        for mta in MTAS:
            cell = found[row.name, mta]
            line += (cell.fate + ("" if cell.right and not cell.limit else " *" if cell.right else " !")).ljust(14)
        print(line + row.right)
    for cell in cells:
        if cell.limit:
            print(f"* {cell.row.name}, {cell.mta}: {cell.limit}")
        if not cell.right:
            print(f"! {cell.row.name}, {cell.mta}: {cell.fate}, {cell.told}")


def main():
    lab = Lab()
    try:
        cells = play(lab.start())
    finally:
        lab.stop()
    print_matrix(cells)
    right = all(cell.right for cell in cells)
    print("\nEvery cell is right." if right else "\nNOT every cell is right.")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
