"""DANE first: a signed world behind a validating unbound, what sts-cached says of it, and what real Postfix makes of that.

Every MX host has the TLSA records that its name's case needs. `self-signed` is trusted by DANE alone; `second` has a good
certificate but TLSA for another key.
"""

import contextlib
import json
import re
import signal
import socket
import types

import pytest
from lab.daemons import QUERY_SOCKET
from lab.namespace import DNS_ADDRESS
from lab.process import wait_until
from lab.signed import ADDRESS, PLAIN, SignedDns, digest_of_key

SETTINGS = f"""\
dane = on
dns {{ servers = {{ "inet:53@{ADDRESS}" }} trust-ad = true }}
"""
DEFER = 'dane-on-failure = "defer"\n'
ALIAS = "alias.mx.lab.test"


def ask(name, key):
    """The reply of one of the daemon's maps."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(QUERY_SOCKET)
        request = f"{name} {key}".encode()
        peer.sendall(b"%d:%b," % (len(request), request))
        size, _, rest = peer.recv(65536).partition(b":")
        while len(rest) < int(size) + 1:
            rest += peer.recv(65536)
        return rest[:-1].decode()


@contextlib.contextmanager
def published_in(lab, dns):
    """The lab's helpers publish there for a while."""
    lab.dns, before = dns, lab.dns
    yield
    lab.dns = before


def publish_tlsa(lab, dns):
    def publish(label, *values):
        dns.change({(f"_25._tcp.{lab.mx[label].host}", "TLSA"): list(values)})

    right = digest_of_key(lab.mx["self-signed"].certificate)
    publish("self-signed", f"3 1 1 {right}")
    publish("second", f"3 1 1 {'0' * 64}")
    publish("wildcard", f"1 1 1 {right}", f"3 1 1 {right[:62]}")
    dns.forge(f"_25._tcp.{lab.mx['sni-only'].host}", "TLSA", f"3 1 1 {'1' * 64}", f"3 1 1 {'2' * 64}")
    dns.forge(lab.mx["expired"].host, "A", lab.mx["expired"].address, "127.0.5.99")
    dns.change({(ALIAS, "CNAME"): [f"{lab.mx['self-signed'].host}."],
                (f"host.{PLAIN}", "A"): [lab.mx["good"].address],
                (f"_25._tcp.host.{PLAIN}", "TLSA"): [f"3 1 1 {right}"]})


def make_domains(lab, dns):
    """One a case; all under mode enforce."""
    def domain(*labels, **details):
        return lab.domain(*labels, mode="enforce", label="dane", **details)

    made = types.SimpleNamespace(
        usable=domain("self-signed"), mismatch=domain("second"), none=domain("good"), unusable=domain("wildcard"),
        bogus_tlsa=domain("sni-only"), one_bogus_address=domain("expired", "self-signed"), one_bogus_tlsa=domain("sni-only", "good"),
        unlisted=domain("self-signed", listed=["mail.elsewhere.example"]), bogus_mx=domain("good"), alias=domain("self-signed"),
        plain=domain("self-signed", name=f"d.{PLAIN}"), plain_host=domain("good"), testing=domain("self-signed"))
    made.testing.set_policy("testing", [lab.mx["self-signed"].host])
    dns.forge(made.bogus_mx.name, "MX", f"10 {lab.mx['good'].host}.", f"10 {lab.mx['second'].host}.")
    dns.change({(made.alias.name, "MX"): [f"10 {ALIAS}."], (made.plain_host.name, "MX"): [f"10 host.{PLAIN}."]})
    made.alias.set_policy("enforce", [ALIAS])
    made.plain_host.set_policy("enforce", [f"host.{PLAIN}"])
    return made


@pytest.fixture(scope="module")
def domains(world):
    """While this module runs all of the lab's host resolves by the signed DNS."""
    dns = SignedDns("/run/lab/signed", world.dns, world.logs)
    with published_in(world, dns):
        publish_tlsa(world, dns)
        made = make_domains(world, dns)
    dns.start()
    world.restart_cached(SETTINGS)
    assert "dane: the resolver validates DNSSEC" in world.daemons.cached.log_text()
    yield made
    dns.stop()
    world.restart_cached("")


def reload(lab, settings):
    """Puts these lines in force; returns what sts-cached logged since."""
    daemon, before = lab.daemons.cached, len(lab.daemons.cached.log_text())
    lab.daemons.configure_cached(settings)
    daemon.child.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log_text()[before:], "no reload")
    return lambda: daemon.log_text()[before:]


@pytest.fixture
def deferring(lab, domains):
    """dane-on-failure = defer, for one test."""
    reload(lab, SETTINGS + DEFER)
    yield domains
    reload(lab, SETTINGS)


@pytest.fixture
def mta(lab, domains):
    """With the milter, which lets what DANE decides pass."""
    return lab.postfix("postfix-dane", "127.0.5.34", more="smtp_dns_support_level = dnssec\n")


VERDICTS = {
    "usable": ("dane", "ok", ["usable"]),
    "mismatch": ("dane", "ok", ["usable"]),
    "alias": ("dane", "ok", ["usable"]),
    "unlisted": ("dane", "ok", ["usable"]),
    "one_bogus_address": ("dane", "ok", ["failed", "usable"]),
    "none": ("secure", "ok", ["none"]),
    "unusable": ("secure", "ok", ["unusable"]),
    "bogus_tlsa": ("secure", "dns-servfail", ["failed"]),
    "one_bogus_tlsa": ("secure", "dns-servfail", ["failed", "none"]),
    "bogus_mx": ("secure", "dns-servfail", None),
    "plain": ("secure", "ok", None),
    "plain_host": ("secure", "ok", ["none"]),
    "testing": ("testing", "ok", None),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict(lab, domains, case):
    """The verdict with its reason, the states of the MX hosts, and the words of each map."""
    domain, (verdict, reason, states) = getattr(domains, case), VERDICTS[case]
    answer = lab.daemons.query(domain.name)
    assert (answer["verdict"], answer["reason"]) == (verdict, reason), answer
    assert (answer["dane"] and list(answer["dane"].values())) == states
    postfix = {"dane": "OK dane-only", "testing": "NOTFOUND "}.get(verdict)
    for name in ("postfix", "QUERY", "QUERYwithTLSRPT"):
        reply = ask(name, domain.name)
        assert reply == postfix if postfix else reply.startswith("OK secure match="), reply
    assert ask("sts", domain.name).startswith("NOTFOUND " if verdict == "testing" else "OK secure match=")


def test_failed_lookup_is_logged(lab, domains):
    """Which host it was, at the look-up."""
    wanted = (f"dane domain={domains.one_bogus_tlsa.name} reason=dns-servfail detail=DANE of {lab.mx['sni-only'].host}: "
              r"inet:53@[0-9.]+: SERVFAIL")
    lab.daemons.query(domains.one_bogus_tlsa.name)
    wait_until(lambda: re.search(wanted, lab.daemons.cached.log_text()), wanted)


def test_first_question_is_postfix_own(lab, domains):
    """Nothing is known yet: the answer waits for MX and TLSA."""
    lab.daemons.stsctl("flush", "--force", domains.usable.name)
    assert ask("postfix", domains.usable.name) == "OK dane-only"


def test_defer(lab, mta, deferring):
    """Only the domain of whose hosts none could be looked up waits, and only with Postfix."""
    reply = ask("postfix", deferring.bogus_tlsa.name)
    assert reply.startswith("TEMP the TLSA records of the MX hosts of ") and deferring.bogus_tlsa.name in reply
    assert ask("QUERYwithTLSRPT", deferring.bogus_tlsa.name) == reply
    assert ask("sts", deferring.bogus_tlsa.name).startswith("OK secure match=")
    for case in ("one_bogus_tlsa", "bogus_mx", "none", "unusable", "plain", "plain_host"):
        assert ask("postfix", getattr(deferring, case).name).startswith("OK secure match="), case
    for case in ("usable", "one_bogus_address"):
        assert ask("postfix", getattr(deferring, case).name) == "OK dane-only"
    outcome = lab.send(deferring.bogus_tlsa.address(), mta=mta)
    assert outcome.deferred and not lab.mx["sni-only"].sessions_with(deferring.bogus_tlsa.address())


def test_postfix_delivers_by_dane(lab, mta, domains):
    """A self-signed certificate is good for DANE, whether the policy lists the host or not; a good one that TLSA does not
    know is not, whatever the policy says."""
    good, unlisted, bad, plain, broken = (lab.send(one.address(), mta=mta) for one in (
        domains.usable, domains.unlisted, domains.mismatch, domains.none, domains.bogus_tlsa))
    assert (good.sent, good.verify) == (True, "OK"), good
    assert (unlisted.sent, unlisted.verify) == (True, "OK"), unlisted
    assert bad.deferred and mta.is_waiting(bad.queue_id), bad
    assert (plain.sent, plain.verify) == (True, "OK"), plain
    assert (broken.sent, broken.verify) == (True, "OK"), broken
    assert not lab.mx["second"].sessions_with(domains.mismatch.address())
    assert not lab.in_clear()


def found(lab, domain):
    """The DANE lines of a check."""
    report = json.loads(lab.daemons.stsctl("--json", "check", domain.name).stdout)
    return [(line["status"], line["subject"], line["reason"]) for line in report["checks"] if line["layer"] == "dane"]


def test_check(lab, domains):
    bogus, good, expired, usable = (lab.mx[one].host for one in ("sni-only", "good", "expired", "self-signed"))
    assert found(lab, domains.usable) == [("ok", usable, "ok")]
    assert found(lab, domains.unusable) == [("warning", lab.mx["wildcard"].host, None)]
    assert found(lab, domains.bogus_tlsa) == [("error", bogus, "dns-servfail")]
    assert found(lab, domains.one_bogus_tlsa) == [("warning", bogus, "dns-servfail"), ("ok", good, "ok")]
    assert found(lab, domains.one_bogus_address) == [("warning", expired, "dns-servfail"), ("ok", usable, "ok")]
    assert found(lab, domains.plain) == [("ok", domains.plain.name, "ok")]


RESOLVERS = {
    "dns { trust-ad = true }": "info: dane: the resolver validates DNSSEC",
    "": "warning: dane: trust-ad is off",
    f'dns {{ servers = {{ "inet:53@{DNS_ADDRESS}" }} trust-ad = true }}': "warning: dane: the resolver does not validate",
    'dns { servers = { "inet:53@127.0.5.98" } trust-ad = true }': "warning: dane: the resolver does not answer",
}


@pytest.mark.parametrize("dns", RESOLVERS)
def test_resolver_is_checked(lab, domains, dns):
    """After a reload, as at the start; nothing waits for it."""
    try:
        log = reload(lab, f"dane = on\n{dns}\n")
        wait_until(lambda: RESOLVERS[dns] in log(), f"not told: {RESOLVERS[dns]}")
        assert log().count("dane: ") == 1
    finally:
        reload(lab, SETTINGS)


def test_resolver_is_not_checked_without_dane(lab, domains):
    log = reload(lab, "")
    assert lab.daemons.query(domains.usable.name)["dane"] is None
    assert "dane: " not in log()
    reload(lab, SETTINGS)
