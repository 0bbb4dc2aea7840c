"""Probing (probe = on): the TLS of the listed MX hosts decides beforehand, in time, and bothers no host twice."""

import json
import pathlib
import shutil
import signal
import socket
import time

import pytest

from lab.daemons import QUERY_SOCKET
from lab.process import wait_until
from lab.redis import RedisServer

CAUSES = {
    "wrong-name": "tls-name", "expired": "tls-expired", "self-signed": "tls-untrusted", "unknown-ca": "tls-untrusted",
    "cn-only": "tls-name", "no-starttls": "tls-handshake", "starttls-454": "tls-handshake",
}
SILENT, SILENT_ADDRESS = "silent.mx.lab.test", "127.0.5.97"


@pytest.fixture(scope="module", name="probing")
def fixture_probing(world):
    """The lab with a daemon that probes and a milter that is the wall."""
    world.daemons.milter.stop()
    world.daemons.configure_milter('role = "wall"\n')
    world.restart_cached("probe = true\n")
    yield world
    world.daemons.milter.stop()
    world.daemons.configure_milter("")
    world.restart_cached("")


@pytest.fixture(autouse=True)
def forget_probes(probing, lab):
    """A reload makes the daemon forget what it knows of hosts."""
    cached = probing.daemons.cached
    reloads = cached.log_text().count("reloaded ")
    cached.child.send_signal(signal.SIGHUP)
    wait_until(lambda: cached.log_text().count("reloaded ") > reloads, "a reload")


def judged(lab, domain):
    """The whole answer, asked until no probe runs any more: a busy machine may be late with the first."""
    return wait_until(lambda: (answer := lab.daemons.query(domain.name))["reason"] != "deadline" and answer, "a verdict")


def found(answer):
    return {probe["host"]: probe["result"] for probe in answer["probes"]}


def test_good_host(lab):
    """A host that passes is connected to once; no envelope is sent; mail goes."""
    domain = lab.domain("good", "sni-only", mode="enforce")
    answer = judged(lab, domain)
    assert (answer["verdict"], answer["reason"], answer["exit"]) == ("secure", "ok", 0)
    assert found(answer)[lab.mx["good"].host] == "ok" or found(answer)[lab.mx["sni-only"].host] == "ok"
    session = lab.mx["good"].wait_for_session()
    wait_until(lambda: session.commands and session.commands[-1][0] in ("QUIT", ""), "the end of the session")
    assert session.sni == lab.mx["good"].host
    assert not {verb for one in lab.sessions() for verb, _, _ in one.commands} & {"MAIL", "RCPT", "DATA"}
    assert lab.send(domain.address()).sent


def test_all_bad(lab):
    """When TLS is wrong at each, mail waits: the causes stand in stsctl and the log, the hosts in the reply to RCPT;
    and the maps go on as ever."""
    domain = lab.domain(*CAUSES, mode="enforce", listed=["*.mx.lab.test"])
    answer = judged(lab, domain)
    assert (answer["verdict"], answer["reason"], answer["exit"]) == ("refuse", "probe-failed", 3)
    assert found(answer) == {lab.mx[label].host: cause for label, cause in CAUSES.items()}
    assert all(0 < probe["until"] - time.time() <= 300 for probe in answer["probes"])
    text = lab.daemons.stsctl("query", domain.name).stdout
    assert "why: no listed MX host offers the TLS" in text
    assert f"probe: {lab.mx['wrong-name'].host} tls-name: certificate is for elsewhere.mx.lab.test\n" in text
    assert f"probe: {lab.mx['no-starttls'].host} tls-handshake: STARTTLS is not offered\n" in text
    line = [line for line in lab.daemons.cached.log_text().splitlines() if f"domain={domain.name} " in line][-1]
    assert "reason=probe-failed" in line and f"{lab.mx['expired'].host} tls-expired" in line
    outcome = lab.send(domain.address())
    assert outcome.code == 451 and "4.7.5" in outcome.text and domain.name in outcome.text
    assert f"{lab.mx['wrong-name'].host}:tls-name" in outcome.text and "none of them offers TLS with a valid certificate" in outcome.text
    assert ask("postfix", domain).startswith(b"OK secure match=.mx.lab.test ")
    assert not lab.in_clear()


def test_bad_then_good(lab):
    """One that passes is enough, wherever it stands."""
    domain = lab.domain("expired", "second", mode="enforce")
    answer = judged(lab, domain)
    assert (answer["verdict"], answer["reason"]) == ("secure", "ok")
    assert found(answer)[lab.mx["second"].host] == "ok"
    assert lab.send(domain.address()).sent


def test_next_hop_in_brackets(lab):
    """Of [host] the host itself is probed."""
    domain = lab.domain("good", mode="enforce", name="starttls-454.mx.lab.test")
    domain.set_policy("enforce", [domain.name])
    answer = wait_until(lambda: (answer := lab.daemons.query(f"[{domain.name}]:587"))["reason"] != "deadline" and answer, "one")
    assert (answer["verdict"], found(answer)) == ("refuse", {domain.name: "tls-handshake"})


def test_silent_host_holds_nothing_back(lab):
    """The answer is there by its deadline, later ones at once; the probe goes on behind."""
    domain = lab.domain("good", mode="enforce", listed=[SILENT])
    lab.dns.change({(SILENT, "A"): [SILENT_ADDRESS], (domain.name, "MX"): [f"10 {SILENT}."]})
    wait_until(lambda: ask("postfix", domain).startswith(b"OK "), "the policy")
    with socket.create_server((SILENT_ADDRESS, 25)):
        began = time.monotonic()
        answer = lab.daemons.query(domain.name)
        assert (answer["verdict"], answer["reason"]) == ("secure", "deadline") and time.monotonic() - began < 7
        began = time.monotonic()
        assert lab.daemons.query(domain.name)["probes"][0]["result"] == "running"
        assert time.monotonic() - began < 2


def test_special_purpose_address_is_not_connected_to(lab):
    """An owner cannot make us connect to what is ours: ::1 is not in allow-address."""
    domain = lab.domain("good", mode="enforce", listed=["inside.mx.lab.test"])
    lab.dns.change({("inside.mx.lab.test", "AAAA"): ["::1"], (domain.name, "MX"): ["10 inside.mx.lab.test."]})
    with socket.create_server(("::1", 25), family=socket.AF_INET6) as inside:
        answer = judged(lab, domain)
        assert (answer["verdict"], found(answer)) == ("secure", {"inside.mx.lab.test": "connect-blocked"})
        inside.settimeout(0.2)
        with pytest.raises(TimeoutError):
            inside.accept()


def ask(name, domain, times=1):
    """The last of the replies to a question that is asked so many times."""
    frame = f"{name} {domain.name}".encode()
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(20)
        asker.connect(QUERY_SOCKET)
        asker.sendall(b"%d:%s," % (len(frame), frame) * times)
        replies = asker.makefile("rb")
        for _ in range(times):
            size = b""
            while not size.endswith(b":"):
                size += replies.read(1)
            reply = replies.read(int(size[:-1]) + 1)
    return reply[:-1]


def test_hosts_are_left_in_peace(lab):
    """A hundred questions about two domains make one connection to each host, good or bad; the good one is left in
    peace for an hour."""
    one = lab.domain("wildcard", "expired", mode="enforce")
    other = lab.domain("expired", mode="enforce")
    assert judged(lab, one)["verdict"] == "secure" and judged(lab, other)["verdict"] == "refuse"
    assert b" verdict=secure " in b" " + ask("verdict", one, 50) and b"probe-failed" in ask("verdict", other, 50)
    wait_until(lambda: lab.mx["wildcard"].sessions, "the good host")
    assert [len(lab.mx[label].sessions) for label in ("wildcard", "expired")] == [1, 1]
    until = [probe["until"] - time.time() for probe in lab.daemons.query(one.name)["probes"] if probe["result"] == "ok"]
    assert len(until) == 1 and 3000 < until[0] <= 3600


def test_counters(lab):
    """What probes cost and found is counted."""
    domain = lab.domain("second", mode="enforce")
    before = json.loads(lab.daemons.stsctl("--json", "stats").stdout)
    judged(lab, domain)
    judged(lab, lab.domain("cn-only", mode="enforce"))
    after = json.loads(lab.daemons.stsctl("--json", "stats").stdout)
    assert after["probes"] - before["probes"] >= 2
    assert after["probes_failed"]["tls-name"] - before["probes_failed"]["tls-name"] == 1


@pytest.fixture(name="redis")
def fixture_redis(lab):
    """A Redis, and sts-cached as one node of its farm; `anew` starts another node of no memory."""
    directory = pathlib.Path("/run/lab/probe-redis")
    directory.mkdir()
    key = directory / "farm.key"
    key.write_text("5a" * 32 + "\n")
    key.chmod(0o600)
    shutil.chown(key, "sts-cached")
    server = RedisServer("redis", directory, "127.0.5.96").start()

    def anew():
        lab.restart_cached(f'probe = true\nredis {{ server = "inet:6379@{server.address}"  key-file = "{key}" }}\n')
        wait_until(lambda: json.loads(lab.daemons.stsctl("--json", "stats").stdout)["redis_up"], "Redis")
    server.anew = anew
    anew()
    yield server
    lab.restart_cached("probe = true\n")
    server.stop()


def test_another_node_need_not_probe(lab, redis):
    """What one node found the others take, when it bears the farm's signature; a host is asked once by all."""
    domain, host = lab.domain("expired", mode="enforce"), lab.mx["expired"]
    name = f"sts:p:{host.host}"
    assert judged(lab, domain)["verdict"] == "refuse"
    wait_until(lambda: 0 < redis.command("TTL", name) <= 300, "the result in Redis")
    redis.anew()
    answer = judged(lab, domain)
    assert (answer["verdict"], found(answer)) == ("refuse", {host.host: "tls-expired"})
    assert answer["probes"][0]["detail"] == "certificate has expired" and len(host.sessions) == 1
    redis.command("SET", name, redis.command("GET", name).replace(b"tls-expired", b"ok"))
    redis.anew()
    assert judged(lab, domain)["verdict"] == "refuse" and len(host.sessions) == 2
    assert f"alarm: the record of {host.host} in Redis is not signed" in lab.daemons.cached.log_text()
