"""matrix - each MTA against each fault of a receiver: contrib/matrix prints it, test_matrix.py asserts each cell.

All messages of a column are under way at the same time; a cell is judged by what the MX saw, and by the
code and the reason that the MTA logged.
"""

import concurrent.futures
import dataclasses
import re
import sys

from lab import client
from lab.matrix_rows import (ALL_DOWN, CAUSES, DEFERRED, DELIVERED, DOWN, LIMITS, MTAS, OWN_CODES, REFUSED, RETURNED,
                             ROWS, VERIFIED, WAYS, Row)
from lab.process import NotReady
from lab.standin import StandIn
from lab.world import Lab, Outcome

AT_ONCE = 8  # messages submitted side by side


@dataclasses.dataclass
class Cell:
    """What became of it, and whether that is right."""

    row: Row
    mta: str
    fate: str
    told: str
    has_code: bool = True

    @property
    def limit(self):
        """Why the MTA cannot do better; empty when it must."""
        return LIMITS.get((self.row.name, self.mta), ("", ""))[1]

    @property
    def own_code(self):
        """Why the MTA logged a code of its own and no 4.7.x; empty when it did."""
        return OWN_CODES[self.mta][1] if self.fate == DEFERRED and not self.has_code else ""

    @property
    def wanted(self):
        return LIMITS.get((self.row.name, self.mta), (self.row.right_for(self.mta),))[0]

    @property
    def right(self):
        return self.fate == self.wanted


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


@dataclasses.dataclass
class Case:
    """One cell under way."""

    row: Row
    name: str            # of the MTA
    mta: object
    domain: object
    recipients: list     # the first is judged
    submission: client.Submission = None
    attempt: int = 1     # which one is judged

    def send(self):
        self.submission = client.submit(*self.recipients, address=self.mta.address)

    def is_waiting(self):
        return bool(self.submission.queue_id) and self.mta.is_waiting(self.submission.queue_id)

    def change(self, lab):
        """While it waits in the queue: the policy that it is to meet."""
        if self.row.queued == "mended":
            self.domain.set_mx("second")
            self.domain.set_policy("enforce", [lab.mx["second"].host])
        elif self.row.queued != (self.row.mode or "none"):
            self.domain.set_policy(self.row.queued, [lab.mx[one].host for one in self.row.mx])


class Judge:
    """Says what became of a case."""

    def __init__(self, lab):
        self.lab = lab

    def cell(self, case):
        recipient = case.recipients[0]
        code, text = case.submission.replies[recipient]
        outcome = Outcome(recipient, code, text, case.submission.queue_id)
        if code == 250:
            try:
                outcome.delivery = case.mta.wait_for_delivery(outcome.queue_id, recipient, case.attempt, seconds=90)
                outcome.verify = case.mta.verify(outcome.delivery)
            except NotReady:
                return Cell(case.row, case.name, "lost", "no attempt is logged")
        return Cell(case.row, case.name, *self._fate(case, outcome))

    def _fate(self, case, outcome):
        row = case.row
        takers = {label: one.sessions_with(outcome.recipient) for label, one in self.lab.mx.items()}
        takers = {label: sessions[-1] for label, sessions in takers.items() if sessions}
        if row.right_for(case.name) != DELIVERED and self._in_clear(outcome.recipient):
            return "LEAKED", "its recipient or its text in the clear"
        if not outcome.sent and takers:
            return "delivered all the same", outcome.text
        if outcome.code != 250:
            return self._fate_at_rcpt(row, outcome)
        if not outcome.sent:
            return self._fate_unsent(case, outcome)
        if list(takers) != [row.at]:
            return f"delivered to {list(takers)}", ""
        session = takers[row.at]
        if not any(outcome.recipient in text for text, _ in session.texts):
            return "without its text", ""
        if row.right_for(case.name) == DELIVERED:
            return DELIVERED, f"{session.tls or 'in the clear'}"
        verified = outcome.verify == "OK" and session.tls and session.sni == self.lab.mx[row.at].host
        return (VERIFIED if verified else "delivered unverified"), f"{session.tls}, SNI {session.sni}"

    @staticmethod
    def _fate_at_rcpt(row, outcome):
        told = f"{outcome.code} {outcome.text}"
        if row.daemon and outcome.code == 451:
            return DEFERRED, told
        if not outcome.text.startswith("4.7.5" if outcome.code == 451 else "5."):
            return "refused otherwise", told
        return (REFUSED if outcome.code == 451 else RETURNED), told

    @staticmethod
    def _fate_unsent(case, outcome):
        told, code = case.mta.reason(outcome.delivery), case.mta.code(outcome.delivery)
        if not outcome.deferred:
            failed = outcome.delivery.dsn.startswith("5.") or getattr(outcome.delivery, "failed", False)
            return (RETURNED if failed else "neither sent nor kept"), told
        cause = CAUSES.get(case.row.daemon) or CAUSES.get(case.row.at)
        if not case.mta.is_waiting(outcome.queue_id):
            return "not in the queue", told
        if not cause or not re.search(cause, told):
            return "deferred, no cause", told
        if code.startswith("4.7."):
            return DEFERRED, told
        if not code and case.name in OWN_CODES and not case.row.daemon and re.search(OWN_CODES[case.name][0], told):
            return DEFERRED, told, False
        return f"deferred, {code or 'no code'}", told

    def _in_clear(self, recipient):
        """Did any MX hear of the recipient, or get a text that is (also) for him, without TLS?"""
        sessions = self.lab.sessions()
        return any(recipient in argument and verb == "RCPT" and not under_tls
                   for session in sessions for verb, argument, under_tls in session.commands) or \
            any(recipient in text and not under_tls for session in sessions for text, under_tls in session.texts)


def prepare(lab, mtas, wanted):
    """The cases of these rows, with their domains."""
    cases = []
    with lab.dns.held():
        for number, row in enumerate(wanted):
            for name, mta in mtas.items():
                domain, user = domain_of(lab, row), f"{name}{number}"
                recipients = [domain.address(user)]
                if row.beside:
                    beside = lab.domain(*row.mx, mode="enforce" if row.beside == "enforced" else None)
                    recipients.append(beside.address(user))
                cases.append(Case(row, name, mta, domain, recipients))
    return cases


def send(cases, at_once=AT_ONCE):
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for one in [pool.submit(case.send) for case in cases]:
            one.result()


def play_well(lab, mtas, judge):
    """Everything works but the receivers. The milter lets some sessions wait for a verdict, not all: those
    that use it follow each other."""
    cases = prepare(lab, mtas, [row for row in ROWS if not row.daemon and not row.queued])
    send([case for case in cases if case.name == "exim"])
    send([case for case in cases if case.name != "exim"], at_once=1)
    return [judge.cell(case) for case in cases]


def play_down(lab, queued, cases, judge):
    """Without sts-cached, then without the milter as well. Afterwards `queued` wait, those to enforcing
    domains tried once more than the others, after which they come in a queue run."""
    lab.daemons.cached.stop()
    send([*queued, *(case for case in cases if case.row.daemon == DOWN)])
    lab.daemons.milter.stop()
    send([case for case in cases if case.row.daemon == ALL_DOWN])
    for case in queued:
        judge.cell(case)
    run_queues([case for case in queued if case.row.queued != "none"])
    for case in queued:
        judge.cell(case)
    return [judge.cell(case) for case in cases]


def run_queues(cases):
    """Those that wait are tried anew, with each MTA in one queue run."""
    cases = [case for case in cases if case.is_waiting()]
    for mta in {case.mta for case in cases}:
        mta.run_queue(*(case.submission.queue_id for case in cases if case.mta is mta))
    for case in cases:
        case.attempt += 1


def play_strange(lab, cases, judge):
    """With a stand-in for sts-cached, and without the milter."""
    ways = {case.domain.name: (WAYS[case.row.daemon], [lab.mx["good"].host] if case.row.mode else None) for case in cases}
    stand_in = StandIn(ways).start()
    try:
        send(cases, at_once=len(cases))
        return [judge.cell(case) for case in cases]
    finally:
        stand_in.stop()


def play_queued(lab, cases, judge):
    """What has waited meets the policy that there is now."""
    with lab.dns.held():
        for case in cases:
            case.change(lab)
    for case in cases:
        lab.daemons.stsctl("refresh", case.domain.name)
    run_queues(cases)
    return [judge.cell(case) for case in cases]


def play(lab):
    """All cells."""
    lab.forget_sessions()
    mtas = {"sendmail": lab.mta, "postfix": lab.postfix(), "exim": lab.exim("exim-matrix", "127.0.5.40")}
    judge = Judge(lab)
    cells = play_well(lab, mtas, judge)
    cases = prepare(lab, mtas, [row for row in ROWS if row.daemon or row.queued])
    queued = [case for case in cases if case.row.queued]
    for case in queued:
        lab.daemons.verdict(case.domain.name)  # the policy that was known when the mail came
    cells += play_down(lab, queued, [case for case in cases if case.row.daemon in (DOWN, ALL_DOWN)], judge)
    cells += play_strange(lab, [case for case in cases if case.row.daemon in WAYS], judge)
    lab.daemons.cached.start()
    lab.restart_what_is_down()
    return cells + play_queued(lab, queued, judge)


def print_matrix(cells):
    found = {(cell.row.name, cell.mta): cell for cell in cells}
    width = max(len(row.name) for row in ROWS) + 2
    print("receiver".ljust(width) + "".join(mta.ljust(14) for mta in MTAS) + "must be")
    for row in ROWS:
        line = row.name.ljust(width)
        for mta in MTAS:
            cell = found[row.name, mta]
            line += (cell.fate + (" !" if not cell.right else " *" if cell.limit else " -" if cell.own_code else "")).ljust(14)
        print(line + row.right + "".join(f", {mta} {right}" for mta, right in row.but if right != row.right))
    for cell in cells:
        if cell.limit:
            print(f"* {cell.row.name}, {cell.mta}: {cell.limit}")
        if not cell.right:
            print(f"! {cell.row.name}, {cell.mta}: {cell.fate}, {cell.told}")
    for mta, why in sorted({(cell.mta, cell.own_code) for cell in cells if cell.own_code}):
        print(f"- {mta} logs no 4.7.x: {why}")


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
