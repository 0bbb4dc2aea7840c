"""matrix - each MTA against each fault of a receiver: contrib/matrix prints it, test_matrix.py asserts each cell.

All messages of a column are under way at the same time; a cell is judged by what the MX saw, and by the
code and the reason that the MTA logged.
"""

import dataclasses
import re
import sys
import threading

from lab import client
from lab.matrix_rows import CAUSES, DEFERRED, DELIVERED, LIMITS, MTAS, REFUSED, RETURNED, ROWS, VERIFIED, Row
from lab.process import NotReady
from lab.world import Lab, Outcome

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
    if row.special == "cname":
        lab.dns.change({(domain.name, "MX"): [], (domain.name, "CNAME"): [f"{lab.domain(*row.mx).name}."]})
    return domain


class Column:
    """All rows with one MTA: everything is sent, then everything is judged."""

    def __init__(self, lab, name, mta):
        self.lab, self.name, self.mta, self.sent = lab, name, mta, []

    def prepare(self, rows):
        """Makes the domains."""
        self.ready = []
        for number, row in enumerate(rows):
            recipients = [domain_of(self.lab, row).address(f"{self.name}{number}")]
            if row.beside:
                beside = self.lab.domain(*row.mx, mode="enforce" if row.beside == "enforced" else None)
                recipients.append(beside.address(f"{self.name}{number}"))
            self.ready.append((row, recipients))

    def send(self):
        for row, recipients in self.ready:
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
            cause = CAUSES.get(row.special) or CAUSES.get(row.at)
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
    with lab.dns.held():
        for column in columns:
            column.prepare([row for row in ROWS if (row.special == "daemon-down") == daemon_down])
    if daemon_down:
        lab.daemons.cached.stop()
    # The milter lets some sessions wait for a verdict, not all: those that use it follow each other.
    other = threading.Thread(target=columns[-1].send)
    other.start()
    for column in columns[:-1]:
        column.send()
    other.join()
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
