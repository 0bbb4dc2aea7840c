"""Exim with contrib/exim: what is judged is what the receiving hosts saw."""

import signal

import pytest
from lab.standin import Way

GOOD = ["good", "wildcard", "sni-only"]
BAD = ["wrong-name", "expired", "self-signed", "cn-only", "no-starttls", "starttls-454"]


@pytest.fixture
def exim(lab):
    return lab.exim()


def nothing_leaked(lab, domain):
    return not lab.in_clear() and not any(one.sessions_with(domain.address()) for one in lab.mx.values())


@pytest.mark.parametrize("profile", GOOD)
def test_good(lab, exim, profile):
    """An enforced policy and a good host: delivered over verified TLS, with the host's name as SNI."""
    outcome = lab.send(lab.domain(profile, mode="enforce").address(), mta=exim)
    assert outcome.sent and outcome.verify == "OK"
    [session] = lab.mx[profile].sessions_with(outcome.recipient)
    assert session.tls in ("TLSv1.2", "TLSv1.3") and session.sni == lab.mx[profile].host


@pytest.mark.parametrize("profile", BAD)
def test_bad_certificate_waits(lab, exim, profile):
    """Also a certificate that has the name as its common name only, which Exim's GnuTLS would take."""
    domain = lab.domain(profile, mode="enforce")
    outcome = lab.send(domain.address(), mta=exim)
    assert outcome.deferred and exim.is_waiting(outcome.queue_id)
    lab.mx[profile].wait_for_session()
    assert nothing_leaked(lab, domain)


@pytest.mark.parametrize("profile", BAD)
@pytest.mark.parametrize("mode", [None, "testing"])
def test_control_without_enforcement(lab, exim, profile, mode):
    """The control, after the same host has failed for an enforced domain: nobody else is held back."""
    lab.send(lab.domain(profile, mode="enforce").address(), mta=exim)
    domain = lab.domain(profile, mode=mode, listed=["elsewhere.example"])
    assert lab.send(domain.address(), mta=exim).sent
    assert lab.mx[profile].sessions_with(domain.address())


@pytest.mark.parametrize("bad", BAD)
def test_second_mx_is_good(lab, exim, bad):
    domain = lab.domain(bad, "second", mode="enforce")
    assert lab.send(domain.address(), mta=exim).sent
    assert lab.mx["second"].sessions_with(domain.address())[0].tls and not lab.in_clear()


def test_first_mx_is_not_listed(lab, exim):
    domain = lab.domain("good", "second", mode="enforce", listed=["second.mx.lab.test"])
    assert lab.send(domain.address(), mta=exim).sent
    assert lab.mx["second"].sessions_with(domain.address()) and not lab.mx["good"].sessions


def test_sender_is_told_at_rcpt(lab, exim):
    """As the milter does elsewhere: 451, the domain, the hosts of the policy, and what to do."""
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example", "*.b.example"])
    outcome = lab.send(domain.address(), mta=exim)
    text = " ".join(outcome.text.split())
    assert outcome.code == 451 and text.startswith(f"4.7.5 MTA-STS: {domain.name} accepts mail only at")
    assert "(mail.elsewhere.example, *.b.example)" in text and "none of its MX hosts is among them" in text
    assert not lab.sessions()


def test_no_mx_record(lab, exim):
    """The domain itself is its only host, and its certificate must have that name."""
    domain = lab.domain("good", mode="enforce", listed=["nomx-exim.test"], name="nomx-exim.test")
    lab.dns.change({(domain.name, "MX"): [], (domain.name, "A"): [lab.mx["good"].address]})
    outcome = lab.send(domain.address(), mta=exim)
    assert outcome.deferred and lab.mx["good"].wait_for_session().handshake
    assert nothing_leaked(lab, domain)


def test_null_mx_and_no_host(lab, exim):
    """Domains that take no mail are bounced at once, not kept for days."""
    null, nowhere = lab.domain("good", mode="enforce"), lab.domain("good", mode="enforce")
    lab.dns.change({(null.name, "MX"): ["0 ."], (nowhere.name, "MX"): []})
    first, second = (lab.send(one.address(), mta=exim).delivery for one in (null, nowhere))
    assert (first.failed, first.dsn) == (True, "5.1.10")
    assert (second.failed, second.dsn) == (True, "5.1.2")


def test_cname_at_the_domain(lab, exim):
    domain = lab.domain("good", mode="enforce", name="cname-exim.test")
    lab.dns.change({(domain.name, "CNAME"): ["real-exim.test."], ("real-exim.test", "MX"): ["10 good.mx.lab.test."]})
    assert lab.send(domain.address(), mta=exim).verify == "OK"


def test_faults_of_dns(lab, exim):
    """One MX without an address does not stop the domain; MX records that cannot be looked up do."""
    domain = lab.domain("good", mode="enforce", listed=["sf-exim.test", "ghost-exim.test", "good.mx.lab.test"])
    lab.dns.servfail("sf-exim.test")
    lab.dns.change({(domain.name, "MX"): ["1 sf-exim.test.", "2 ghost-exim.test.", "3 good.mx.lab.test."]})
    assert lab.send(domain.address(), mta=exim).sent
    broken = lab.domain("good", mode="enforce")
    lab.daemons.verdict(broken.name)
    lab.dns.servfail(broken.name)
    assert lab.send(broken.address(), mta=exim).deferred and nothing_leaked(lab, broken)


def test_one_address_of_a_host_is_dead(lab, exim):
    """The good address of a host serves every message, not only the first."""
    lab.dns.change({("two.wild.mx.lab.test", "A"): ["127.0.5.200", lab.mx["wildcard"].address]})
    domain = lab.domain("wildcard", mode="enforce", listed=["*.wild.mx.lab.test"])
    lab.dns.change({(domain.name, "MX"): ["10 two.wild.mx.lab.test."]})
    assert all(lab.send(domain.address(f"u{n}"), mta=exim).sent for n in range(4))


def test_mixed_envelope(lab, exim):
    """One message to a plain domain and two enforced ones at one bad host: only the plain one goes."""
    plain = lab.domain("self-signed", label="a-plain")
    enforced = [lab.domain("self-signed", mode="enforce") for _ in range(2)]
    outcomes = lab.send(plain.address(), *(one.address() for one in enforced), mta=exim)
    assert [one.sent for one in outcomes] == [True, False, False]
    assert not any(lab.mx["self-signed"].sessions_with(one.address()) for one in enforced)


def test_connections_are_not_shared(lab, exim):
    """In one queue run plain and enforced mail to one bad host: only the plain mail goes, on its own connection."""
    plain, enforced = lab.domain("self-signed"), lab.domain("self-signed", mode="enforce")
    lab.daemons.verdict(enforced.name)
    lab.daemons.cached.stop()
    waiting = [lab.send(one.address(), mta=exim) for one in (plain, enforced)]
    assert all(one.deferred for one in waiting)
    lab.daemons.cached.start()
    exim.run("-qff")
    attempts = [exim.wait_for_delivery(one.queue_id, one.recipient, attempt=2) for one in waiting]
    assert [one.sent for one in attempts] == [True, False]
    assert not lab.mx["self-signed"].sessions_with(enforced.address())


def test_killed_daemon(lab, exim):
    """Nothing leaves while the daemon is down, and all goes after its return."""
    domain = lab.domain("good", mode="enforce")
    lab.daemons.verdict(domain.name)
    lab.daemons.cached.stop(signal.SIGKILL)
    outcome = lab.send(domain.address(), mta=exim)
    assert outcome.deferred and outcome.delivery.dsn == "4.7.5" and nothing_leaked(lab, domain)
    lab.daemons.cached.start()
    exim.run_queue(outcome.queue_id)
    assert exim.wait_for_delivery(outcome.queue_id, outcome.recipient, attempt=2).sent


@pytest.mark.parametrize("delay_s, reply", [
    (7, None), (0, b""), (0, b"garbage"), (0, b"2:OK,"), (0, b"12:PERM refused,"), (0, b"9:TEMP busy,"),
    (0, b"35:OK secure match=good.mx.lab.test servern"), (0, b"9:NOTFOUN"), (0, b"6:OK may,"),
])
def test_strange_answers_defer(lab, delay_s, reply):
    exim, cache = lab.strange_exim()
    domain = lab.domain("self-signed", mode="enforce")
    cache.ways[domain.name] = (Way(delay_s, reply), [lab.mx["self-signed"].host])
    outcome = lab.send(domain.address(), mta=exim)
    assert outcome.deferred and outcome.delivery.dsn == "4.7.5" and nothing_leaked(lab, domain)


def test_slow_answers_do(lab):
    """Three seconds late is early enough."""
    exim, cache = lab.strange_exim()
    domain = lab.domain("good", mode="enforce")
    cache.ways[domain.name] = (Way(delay_s=3), [lab.mx["good"].host])
    outcome = lab.send(domain.address(), mta=exim)
    assert (outcome.sent, outcome.verify) == (True, "OK")


def test_smart_host_and_literal(lab, exim):
    """Fixed routes come first: their hosts are not held to the recipients' policies."""
    domain = lab.domain("good", mode="enforce", listed=["elsewhere.example"])
    assert lab.send(domain.address(), mta=lab.smart_host_exim("second")).sent
    assert lab.mx["second"].sessions_with(domain.address())
    literal = f"bob@[{lab.mx['self-signed'].address}]"
    assert lab.send(literal, mta=exim).sent and lab.mx["self-signed"].sessions_with(literal)


def test_upper_case(lab, exim):
    outcome = lab.send("bob@" + lab.domain("self-signed", mode="enforce").name.upper(), mta=exim)
    assert outcome.deferred and not lab.in_clear()
