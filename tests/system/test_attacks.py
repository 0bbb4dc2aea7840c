"""Attacks on one sts-cached, each with the cost that it may have at most: memory, time, log lines, and what
becomes of everybody else meanwhile. tests/ATTACKS.md lists all attacks and their tests.

STS_ATTACKS_LONG=1 runs the floods at full size."""

import contextlib
import itertools
import json
import os
import re
import resource
import socket
import threading
import time

import pytest

from lab.process import wait_until
from test_query_socket import SECURE, fixture_own, known_domain  # noqa: F401  pylint: disable=unused-import
from vectors.asker import Asker, frame, verdict_fields
from vectors.dnsserver import address, txt
from vectors.internet import ANSWER_DEADLINE, GOOD_RECORD, policy
from vectors.stories import wait_for_verdict, word

LONG = os.environ.get("STS_ATTACKS_LONG") == "1"
MIB = 1 << 20
AT_ONCE = 1.5  # seconds, on a busy machine with a slow build
SLACK = 48 * MIB  # of a sanitized build: its shadow, freed blocks kept back


class Cost:
    """What the daemon has used since: CPU seconds, and bytes of memory at the highest."""

    def __init__(self, daemon):
        self.pid = daemon.process.pid
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as control:
            control.write("5")  # the highest so far is what is used now
        self.cpu, self.memory = self._cpu(), self._peak()

    def _cpu(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _peak(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) * 1024

    def cpu_s(self):
        return self._cpu() - self.cpu

    def peak(self):
        return self._peak() - self.memory


@pytest.fixture(name="lean")
def fixture_lean(monkeypatch, own):
    """As `own`, and a sanitized build keeps no more than a little of what was freed. Returns a function that
    starts the daemon anew with these settings."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4")

    def start(more="", **values):
        assert own.daemon.stop() == 0
        own.daemon.values.update(values, more=more)
        own.daemon.start()
        return own
    return start


def stats(internet):
    return json.loads(internet.daemon.stsctl("stats", "--json").stdout)


def memory_used(internet):
    """Bytes by the daemon's own account, and entries."""
    memory = stats(internet)["cache"]
    return memory["policy_bytes"] + memory["other_bytes"], memory["policies"] + memory["others"]


@contextlib.contextmanager
def many_files(count):
    """This process may have so many open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, before[0]), max(count, before[1])))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_txt_bombs_cost_nothing(lean):
    """16 KiB of empty strings would cost libldns 256 MiB and more than a second, each time."""
    internet = lean()
    good, _ = known_domain(internet)
    bombs = [internet.new_domain() for _ in range(10)]
    for domain in bombs:
        internet.publish(domain)
        internet.dns.put(f"_mta-sts.{domain}", "TXT", bytes(16000))
    cost = Cost(internet.daemon)
    with Asker(internet.daemon.query_socket) as asker:
        for domain in bombs:
            asker.send(f"verdict {domain}")
        answers = [verdict_fields(asker.receive()) for _ in bombs]
    assert {f"{one['verdict']} {one['reason']}" for one in answers} == {"unknown dns-bad-reply"}
    assert cost.peak() < SLACK and cost.cpu_s() < 2, (cost.peak(), cost.cpu_s())
    assert internet.ask(f"sts {good}") == SECURE.format(good)


def test_the_worst_txt_set_costs_little(lean):
    """Nearly as many records, strings and bytes as a reply may have: 1.7 MiB and 2 ms of libldns, each time."""
    internet = lean()
    worst = [internet.new_domain() for _ in range(10)]
    for domain in worst:
        internet.publish(domain)
        internet.dns.put(f"_mta-sts.{domain}", "TXT", *[bytes([50]) + bytes(50 + 63)] * 126, txt(GOOD_RECORD))
    cost = Cost(internet.daemon)
    with Asker(internet.daemon.query_socket) as asker:
        for domain in worst:
            asker.send(f"verdict {domain}")
        answers = [verdict_fields(asker.receive()) for _ in worst]
    assert {f"{one['verdict']} {one['reason']}" for one in answers} == {"secure ok"}
    assert cost.peak() < SLACK and cost.cpu_s() < 4, (cost.peak(), cost.cpu_s())


def test_ten_thousand_connections(lean):
    """Idle ones and ones with half a question: the next client is served at once, and all go in the end."""
    count = 10_000
    internet = lean()
    good, _ = known_domain(internet)
    cost = Cost(internet.daemon)
    with many_files(count + 500), contextlib.ExitStack() as all_of_them:
        for n in range(count):
            client = socket.socket(socket.AF_UNIX)
            all_of_them.callback(client.close)
            client.connect(str(internet.daemon.query_socket))
            if n % 4 == 0:
                client.sendall(b"19:sts ")
        start = time.monotonic()
        assert internet.ask(f"sts {good}") == SECURE.format(good)
        assert time.monotonic() - start < AT_ONCE
        assert stats(internet)["connections_open"] > count
        assert cost.peak() < 64 * MIB + SLACK, cost.peak()
    wait_until(lambda: stats(internet)["connections_open"] < 5, "connections are left open")
    assert internet.ask(f"sts {good}") == SECURE.format(good)


def test_pipelines_that_nobody_reads(lean):
    """Forty clients ask thousands of times for a reply of 45 KB and read none: 70 MB a client without a limit."""
    internet = lean()
    domain = internet.new_domain()
    internet.publish(domain, body=policy(mx_hosts=("mx.DOMAIN", *(f"h{n}.example.net" for n in range(2700)))))
    assert internet.verdict(domain)["verdict"] == "secure"
    cost = Cost(internet.daemon)
    question = frame(f"postfix {domain}") * 1500
    with contextlib.ExitStack() as all_of_them:
        for _ in range(40):
            asker = all_of_them.enter_context(Asker(internet.daemon.query_socket))
            asker.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                asker.socket.send(question)
        start = time.monotonic()
        assert internet.verdict(domain)["verdict"] == "secure"
        assert time.monotonic() - start < AT_ONCE
        assert 0 < stats(internet)["unread_bytes"] < 40 * 384 * 1024, stats(internet)["unread_bytes"]
        assert cost.peak() < 40 * 768 * 1024 + SLACK, cost.peak()
    wait_until(lambda: stats(internet)["unread_bytes"] == 0, "answers to nobody are kept")


FORGED = "error: forged line"


def test_nobody_writes_into_the_log(own):
    """Line ends and terminal codes in questions, records, policies and certificates stay inside their line."""
    evil = f"\r\n{FORGED}\r\n\x1b[2J\x07"
    for text in (f"sts a.test{evil}", f"verdict a.test wait=1{evil}", f"{evil} a.test", f"stsmx a.test/{evil}"):
        own.ask(text)
    records, body, certificate, header = (own.new_domain() for _ in range(4))
    own.publish(records, records=(f"v=STSv1; id=1;{evil}",))
    own.publish(body, body=f"version: STSv1\nmode: enforce{evil}\nmx: a{evil}b\nmax_age: 1\x1b[31m\n")
    own.publish(header, status=f"404 \x1b[2J{FORGED}", headers=(f"X: \x1b]0;{FORGED}\x07",))
    host = own.publish(certificate)
    name = f"a.test\n{FORGED}\x1b[2J".encode()
    host.certificate = own.certificates.issue(certificate, [], alt_names="DER:" + (
        bytes([0x30, len(name) + 2, 0x82, len(name)]) + name).hex(":"), common_name="lab")
    for domain in (records, body, header, certificate):
        own.ask(f"verdict {domain}")
        own.daemon.stsctl("refresh", domain)
        own.daemon.stsctl("query", f"{domain}\n{FORGED}")
    lines = own.daemon.log_text().split("\n")
    assert len(lines) > 10 and lines.pop() == ""
    wrong = [line for line in lines if not re.fullmatch(r"(info|warning|error): [ -~]*", line)]
    assert not wrong, wrong[:5]
    assert not [line for line in lines if line.startswith(FORGED)]
    assert [line for line in lines if FORGED in line], "nothing of it is in the log: the test proves nothing"


def assert_level(curve, limit, growth):
    """RSS stays below the limit and what a build needs beside it; and from the first third on, where the limit was
    reached, it grows by no more than this, which is far less than what the rest of the flood would take."""
    assert curve[-1][3] < limit * MIB + SLACK, curve
    begin = curve[len(curve) // 3]
    assert begin[2] > limit * MIB * 2 / 5, "the limit was not reached: the test proves nothing"
    assert curve[-1][3] - begin[3] < growth, curve


def test_flood_of_names_keeps_to_its_memory(lean, capsys):
    """Random sub-domains by the thousand: memory stays within `memory-size`, policies stay where they are."""
    count, limit = (200_000, 16) if LONG else (12_000, 1)
    internet = lean(f'memory-size = "{limit}M"')
    good, host = known_domain(internet)
    curve, cost, batch = [], Cost(internet.daemon), count // 12
    with Asker(internet.daemon.query_socket) as asker:
        for n in range(0, count, batch):
            asker.socket.sendall(b"".join(frame(f"sts r{n + m}.victim.flood.test") for m in range(batch)))
            for _ in range(batch):
                assert asker.receive() == "NOTFOUND "
            used, entries = memory_used(internet)
            curve.append((n + batch, entries, used, cost.peak()))
            assert used <= limit * MIB, curve
    show(capsys, "names asked", curve)
    assert curve[-1][1] < count * 3 / 4, "nothing was evicted: the test proves nothing"
    assert_level(curve, limit, MIB)
    requests = len(host.requests)
    assert internet.verdict(good)["source"] == "memory" and len(host.requests) == requests


@contextlib.contextmanager
def flood(internet, names):
    """Asks for all names, then for some of them all the time, so that new ones take the places of those that end.
    Gives the reasons of the answers, as they come."""
    reasons, stop = set(), threading.Event()

    def ask(some):
        asker.socket.sendall(b"".join(frame(f"verdict {name} wait=0") for name in some))
        reasons.update(verdict_fields(asker.receive())["reason"] for _ in some)

    def go_on():
        for begin in itertools.cycle(range(0, len(names), 250)):
            if stop.wait(0.1):
                return
            ask(names[begin:begin + 250])

    with Asker(internet.daemon.query_socket) as asker:
        ask(names)
        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield reasons
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("silent", ["TXT", "A and AAAA"])
def test_flood_of_silent_names_holds_up_nobody(lean, silent):
    """Names below one registrable domain whose DNS never answers, more than may be looked up at a time: who has a
    policy is answered at once, and so are newcomers."""
    internet = lean(dns_timeout=2)
    good, newcomers = known_domain(internet)[0], [internet.new_domain() for _ in range(12)]
    for newcomer in newcomers:
        internet.publish(newcomer)
    names = [f"s{n}.silent.test" for n in range(5000)]
    for name in names:
        if silent == "TXT":
            internet.dns.put(f"_mta-sts.{name}", "TXT", fault="silent")
            continue
        internet.dns.put(f"_mta-sts.{name}", "TXT", txt(GOOD_RECORD))
        for kind in ("A", "AAAA"):
            internet.dns.put(f"mta-sts.{name}", kind, fault="silent")
    with flood(internet, names) as reasons:
        start = time.monotonic()
        assert internet.ask(f"sts {good}") == SECURE.format(good)
        assert time.monotonic() - start < AT_ONCE
        for newcomer in newcomers:  # longer than the silence of one server is waited for
            start = time.monotonic()
            assert word(internet, newcomer) == "secure ok"
            assert time.monotonic() - start < AT_ONCE
            time.sleep(0.4)
    assert {"deadline", "overload"} <= reasons, reasons


def test_network_of_hanging_hosts_holds_up_nobody(lean):
    """Policy hosts at twenty addresses side by side that accept and say nothing, with more domains than fetches may
    run: a newcomer elsewhere is answered at once."""
    internet = lean()
    newcomer = internet.new_domain()
    internet.publish(newcomer)
    hosts = [f"127.0.9.{n}" for n in range(1, 21)]
    names = [f"h{n}.hanging.test" for n in range(400)]
    for n, name in enumerate(names):
        internet.dns.put(f"_mta-sts.{name}", "TXT", txt(GOOD_RECORD))
        internet.dns.put(f"mta-sts.{name}", "A", address(hosts[n % len(hosts)]))
    with contextlib.ExitStack() as listeners:
        for host in hosts:
            listeners.enter_context(socket.create_server((host, internet.policy_hosts.port), backlog=64))
        with flood(internet, names):
            time.sleep(1)  # until they are looked up and connected to
            start = time.monotonic()
            assert word(internet, newcomer) == "secure ok"
            assert time.monotonic() - start < AT_ONCE


def test_flood_of_large_policies_keeps_to_its_memory(lean, capsys):
    """64 KiB policies of one registered domain: memory stays within `memory-size`; who had a policy keeps it,
    without asking its host again, though all of theirs are newer."""
    count, limit = (1000, 16) if LONG else (96, 1)
    internet = lean(f'memory-size = "{limit}M"')
    others = [known_domain(internet) for _ in range(5)]
    curve, cost = [], Cost(internet.daemon)
    large = policy(mx_hosts=("mx.DOMAIN", *(f"h{n}.example.net" for n in range(2800))))
    for n in range(count):
        domain = internet.new_domain()
        internet.publish(domain, body=large)
        assert wait_for_verdict(internet, domain) == "secure ok"
        if n % (count // 12) == 0:
            used, entries = memory_used(internet)
            curve.append((n + 1, entries, used, cost.peak()))
            assert used <= limit * MIB, curve
    show(capsys, "policies of 64 KiB", curve)
    assert curve[-1][1] < count - 10, "nothing was evicted: the test proves nothing"
    assert_level(curve, limit, 3 * MIB)
    internet.policy_hosts.stop()
    internet.dns.stop()
    for domain, host in others:
        got = internet.verdict(domain)
        assert (got["verdict"], got["source"], len(host.requests)) == ("secure", "lmdb", 1), got


def show(capsys, what, curve):
    """The curve, where somebody looks at it (pytest -s, or the long run)."""
    if LONG:
        with capsys.disabled():
            print(f"\n{what:>20} {'entries':>9} {'bytes':>12} {'peak RSS +':>12}")
            for row in curve:
                print("{:>20} {:>9} {:>12} {:>12}".format(*row))
