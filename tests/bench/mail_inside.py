"""mail_inside - messages a second through Sendmail and Postfix, with sts-milter and with a milter that does nothing.

Runs in the system tests' lab (tests/system/enter), whose Lab it starts: root is needed. Prints a row a line as JSON.
"""

import argparse
import functools
import itertools
import json
import os
import pathlib
import smtplib
import socket
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/system"))

from lab import daemons, postfix, sendmail  # noqa: E402
from lab.process import Process  # noqa: E402
from lab.world import Lab  # noqa: E402

MC = """divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mta.lab.test')dnl
define(`confDEF_USER_ID', `mail:mail')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`relay_hosts_only')dnl
RELAY_DOMAIN(`127')dnl
INPUT_MAIL_FILTER(`filter', `S=SOCKET, F=T, T=S:30s;R:30s')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
MAIN = """smtpd_milters = SOCKET
milter_default_action = tempfail
smtpd_sender_restrictions = check_sender_access static:HOLD
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
"""
SESSIONS, HANGING = 64, 6
SLOW_HOST = "127.0.5.98"
TCP = {"bare": "inet:9901@127.0.0.1", "ours": "inet:9902@127.0.0.1"}
UNIX = {"bare": "unix:/run/bare.sock", "ours": f"unix:{daemons.MILTER_SOCKET}"}


def accepts(specification):
    kind, _, rest = specification.partition(":")
    if kind == "unix":
        return daemons.accepts(rest)
    port, _, host = rest.partition("@")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


class Mta:
    """One Sendmail or Postfix with one milter."""

    def __init__(self, lab, kind, name, specification, number):
        self.lab, self.address = lab, f"127.0.6.{1 + number}"  # the lab has receivers in 127.0.5.0/24
        make = self._sendmail if kind == "sendmail" else self._postfix
        self.mta = make(f"bench-{kind}-{name}", specification)
        lab._start(self.mta)

    def _sendmail(self, name, specification):
        mc = pathlib.Path(f"/run/{name}.mc")
        mc.write_text(MC.replace("SOCKET", specification))
        mta = sendmail.Sendmail(name, mc, self.lab, self.address)
        mta.process.argv[mta.process.argv.index("-odb")] = "-odq"  # what is accepted is the MTA's affair
        return mta

    def _postfix(self, name, specification):
        kind, _, rest = specification.partition(":")
        port, _, host = rest.partition("@")
        theirs = specification if kind == "unix" else f"inet:{host}:{port}"
        return postfix.Postfix(name, self.lab, (), self.address, MAIN.replace("SOCKET", theirs))

    def rate(self, domain, recipients, messages, sessions, *options):
        """Messages a second that were accepted."""
        words = [self.lab.programs.root / "usr/sbin/smtp-source", *options, "-s", sessions, "-m", messages, "-r", recipients, "-l", 400,
                 "-f", "a@sender.test", "-t", f"bob@{domain}", f"inet:{self.address}:25"]
        began = time.monotonic()
        done = subprocess.run([str(word) for word in words], env=self.lab.source_environment, capture_output=True, text=True,
                              check=False, timeout=300, cwd="/")
        if done.returncode != 0:
            raise SystemExit(f"smtp-source: {done.stderr[-400:]}")
        return messages / (time.monotonic() - began)


class HangingSessions:
    """Sessions that name a new domain at each RCPT: half of them hang in DNS, half at the policy host."""

    def __init__(self, address):
        self.address, self.running, self.recipients, self.count = address, True, 0, 0
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(HANGING)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *unused):
        self.running = False
        for thread in self.threads:
            thread.join(60)

    def _run(self, number):
        count = 0
        with smtplib.SMTP(self.address, 25, local_hostname="sender.test", timeout=60) as session:
            session.ehlo()
            while self.running:
                session.mail("a@sender.test")
                session.rcpt(f"bob@x{os.getpid()}-{int(time.time() * 1000)}-{number}-{count}.{('hang', 'slow')[number % 2]}.test")
                session.rset()
                count += 1
        self.recipients += count


def say_nothing():
    """The policy host of slow.test: takes connections and keeps them."""
    kept = []
    with socket.create_server((SLOW_HOST, 443), backlog=512) as server:
        while True:
            kept.append(server.accept()[0])


# At once. Debian's libmilter sometimes leaves a new connection waiting when more of them come together (its pool
# of workers; a milter that does nothing shows it too): that would drown all differences.
FRESH_SESSIONS = 4
KEEP = "-d"  # one session brings one message after the other


def start_milters(lab):
    build = pathlib.Path(os.environ["STS_LAB_BUILD"])
    for name, specification in (("unix", UNIX["bare"]), ("tcp", TCP["bare"])):
        lab._start(Process(f"bare-{name}", [build / "tests/bench/bare_milter", specification], lab.logs,
                           lambda specification=specification: accepts(specification)))
    conf = pathlib.Path("/run/lab/conf/tcp.conf")
    conf.write_text(f'user = "sts-milter"\nsocket = "{TCP["ours"]}"\n')
    lab._start(Process("sts-milter-tcp", [build / "sts-milter", "-f", "-c", conf], lab.logs, lambda: accepts(TCP["ours"])))


class Bench:
    """The rows, in the order in which they are measured, and the MTAs that they need."""

    def __init__(self, lab, rounds):
        self.lab, self.rounds = lab, rounds
        self.domain = lab.domain("good", mode="enforce").name
        self.numbers = itertools.count()
        self.started = {}

    def rows(self):
        """MTA, what is measured, and what measures it."""
        kinds = ("sendmail", "postfix")
        for kind in kinds:
            for recipients, messages in ((1, 300), (10, 150), (50, 60)):
                yield kind, f"unix, {recipients} recipients", functools.partial(self.compare, kind, "unix", recipients, messages)
        for route in ("", ", route with quickack"):
            for kind in kinds:
                yield kind, f"TCP, 10 recipients{route}", functools.partial(self.over_tcp, kind, route)
        for kind in kinds:
            yield (kind, f"sts-milter, {SESSIONS - HANGING} sessions: alone (for bare), beside {HANGING} that hang (for ours)",
                   functools.partial(self.beside_hanging, kind))

    def mtas(self, kind, way):
        """One with each milter, started when first asked for."""
        if (kind, way) not in self.started:
            sockets = {"unix": UNIX, "tcp": TCP}[way]
            self.started[kind, way] = {name: Mta(self.lab, kind, f"{way}-{name}", specification, next(self.numbers))
                                       for name, specification in sockets.items()}
        return self.started[kind, way]

    def compare(self, kind, way, recipients, messages, *options):
        mtas = self.mtas(kind, way)
        rates = {name: [] for name in mtas}
        for mta in mtas.values():
            mta.rate(self.domain, recipients, messages // 4, FRESH_SESSIONS, *options)
        for turn in range(self.rounds):
            for name in list(mtas)[::-1 if turn % 2 else 1]:
                rates[name].append(mtas[name].rate(self.domain, recipients, messages, FRESH_SESSIONS, *options))
        log = self.lab.logs / {"unix": "sts-milter.log", "tcp": "sts-milter-tcp.log"}[way]
        last = [line for line in log.read_text().splitlines() if " message " in line][-1]
        assert f"rcpts={recipients} asked={recipients} " in last, f"not every recipient had a verdict: {last}"
        return rates

    def over_tcp(self, kind, route):
        quickack = ["quickack", "1" if route else "0"]
        subprocess.run(["ip", "route", "change", "table", "local", "local", "127.0.0.1", "dev", "lo", "proto", "kernel", "scope",
                        "host", "src", "127.0.0.1", *quickack], check=True)
        return self.compare(kind, "tcp", 10, 100, KEEP)

    def beside_hanging(self, kind):
        mta = self.mtas(kind, "unix")["ours"]
        rates = {"bare": [], "ours": []}
        for _ in range(self.rounds):
            rates["bare"].append(mta.rate(self.domain, 1, 1500, SESSIONS - HANGING, KEEP))
            with HangingSessions(mta.address) as hanging:
                rates["ours"].append(mta.rate(self.domain, 1, 1500, SESSIONS - HANGING, KEEP))
        assert hanging.recipients > 0
        return rates


def measure(lab, rounds, only):
    for kind, what, run in Bench(lab, rounds).rows():
        if only in f"{kind}: {what}":
            rates = run()
            ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"])]
            print(json.dumps({"mta": kind, "what": what, "rates": rates, "ratio": ratios}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only")
    options = parser.parse_args()
    lab = Lab()
    try:
        lab.start()
        lab.daemons.milter.stop()
        lab.daemons.milter_conf.write_text('user = "sts-milter"\nsocket-group = "postfix"\n')
        lab.daemons.milter.start()
        lab.source_environment = {**lab.programs.environment(), "MAIL_CONFIG": "/run/lab/source"}
        lab.source_environment["LD_LIBRARY_PATH"] += f":{lab.programs.root}/usr/lib/postfix"
        os.mkdir("/run/lab/source")
        pathlib.Path("/run/lab/source/main.cf").write_text("")
        threading.Thread(target=say_nothing, daemon=True).start()
        lab.dns.change({("*.slow.test", "TXT"): ['"v=STSv1; id=1;"'], ("*.slow.test", "A"): [SLOW_HOST]})
        lab.dns.silence("hang.test")
        start_milters(lab)
        measure(lab, options.rounds, options.only)
    finally:
        lab.stop()


if __name__ == "__main__":
    main()
