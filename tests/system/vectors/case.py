"""case - one line of a table: what a domain publishes, what is asked, what the daemon must answer."""

import concurrent.futures
import dataclasses

from vectors.asker import Asker, verdict_fields
from vectors.internet import GOOD_RECORD

WORKERS = 12


@dataclasses.dataclass
class Case:
    """`want`: "verdict reason" (several, with | between, when all are right), or for another map than
    `verdict` the whole reply. DOMAIN stands for the case's domain everywhere. `prepare` is called with
    (internet, domain, host) after publication; `check` likewise after the answer and returns a fault."""

    name: str
    want: str
    records: tuple = (GOOD_RECORD,)
    body: object = None
    http: dict = dataclasses.field(default_factory=dict)
    host: object = None
    mx_hosts: tuple = ("mx.DOMAIN",)
    prepare: object = None
    key: str = "DOMAIN"
    map: str = "verdict"
    fields: dict = dataclasses.field(default_factory=dict)
    check: object = None

    def run(self, internet):
        """None, or what is wrong."""
        domain = internet.new_domain()
        records = tuple(in_domain(record, domain) for record in self.records)
        host = internet.publish(domain, records, self.body, self.host and self.host(domain), self.mx_hosts, **self.http)
        if self.prepare:
            self.prepare(internet, domain, host)
        with Asker(internet.daemon.query_socket) as asker:
            reply = asker.ask(f"{self.map} {in_domain(self.key, domain)}")
        fault = self._judge(reply, domain)
        if fault is None and self.check:
            fault = self.check(internet, domain, host)
        return fault and f"{self.name} ({domain}): {fault}"

    def _judge(self, reply, domain):
        if self.map != "verdict":
            want = in_domain(self.want, domain)
            return None if reply == want else f"is {reply!r}, not {want!r}"
        got = verdict_fields(reply)
        word = f"{got['verdict']} {got['reason']}"
        if word not in self.want.split("|"):
            return f"is {word!r}, not {self.want!r}: {reply}"
        for key, value in self.fields.items():
            if got[key] != in_domain(value, domain):
                return f"{key} is {got[key]!r}, not {in_domain(value, domain)!r}"
        return None


def in_domain(text, domain):
    if isinstance(text, tuple):
        return tuple(in_domain(part, domain) for part in text)
    return text.replace("DOMAIN", domain) if isinstance(text, str) else text


def run_all(internet, cases):
    """Runs all cases side by side; returns the faults, and what an exception says counts as one."""
    def run(case):
        try:
            return case.run(internet)
        except Exception as error:  # pylint: disable=broad-exception-caught
            return f"{case.name}: {type(error).__name__} {error}"

    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return [fault for fault in pool.map(run, cases) if fault]
