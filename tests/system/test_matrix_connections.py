"""Connections that an MTA keeps for the next message: none that was opened for a plain domain serves an
enforcing one at the same MX. (Sendmail: test_envelopes.py.) Each MTA is seen to keep one, else nothing is shown."""

import pytest
from lab import postfix
from lab.world import POSTFIX

KEEPS = """\
smtp_connection_cache_destinations = static:all
smtp_connection_cache_time_limit = 30s
smtp_tls_connection_reuse = yes
"""
NOBODY = "127.0.5.250"  # refuses connections


@pytest.fixture(scope="module")
def keeping_postfix(world):
    master = postfix.MASTER.format(address="127.0.5.50") + "tlsproxy unix - - n - 0 tlsproxy\n"
    made = postfix.Postfix("postfix-keeps", world, [POSTFIX / "sts.cf"], "127.0.5.50", KEEPS, master).start()
    yield made
    made.stop()


@pytest.mark.parametrize("profile", ["no-starttls", "self-signed"])
def test_postfix(lab, keeping_postfix, profile):
    """Neither one in clear text nor, with tlsproxy, an unverified one under TLS."""
    plain, other, enforcing = lab.domain(profile), lab.domain(profile), lab.domain(profile, mode="enforce")
    lab.daemons.verdict(enforcing.name)
    assert lab.send(plain.address(), mta=keeping_postfix).sent
    outcome = lab.send(enforcing.address(), mta=keeping_postfix)
    assert outcome.deferred and outcome.delivery.dsn.startswith("4.7.")
    assert lab.send(other.address(), mta=keeping_postfix).sent
    mx = lab.mx[profile]
    assert not mx.sessions_with(enforcing.address())
    assert mx.sessions_with(plain.address()) == mx.sessions_with(other.address())  # the control: it was kept


def test_exim(lab):
    """In a queue run a message that waits for the same host follows over the same connection; one that
    waits for it under a policy does not."""
    mta = lab.exim()
    host = "kept-exim.test"
    lab.dns.change({(host, "A"): [NOBODY]})
    plain, other, enforcing = lab.domain(), lab.domain(), lab.domain(mode="enforce", listed=[host])
    for domain in (plain, other, enforcing):
        lab.dns.change({(domain.name, "MX"): [f"10 {host}."]})
    first = {domain.name: lab.send(domain.address(), mta=mta) for domain in (plain, enforcing, other)}
    assert all(outcome.deferred for outcome in first.values())
    mx = lab.mx["self-signed"]
    lab.dns.change({(host, "A"): [mx.address]})
    mta.run("-qff")
    again = {name: mta.wait_for_delivery(outcome.queue_id, outcome.recipient, attempt=2) for name, outcome in first.items()}
    assert again[plain.name].sent and again[other.name].sent and again[enforcing.name].deferred
    assert not mx.sessions_with(enforcing.address())
    assert mx.sessions_with(plain.address()) == mx.sessions_with(other.address())
