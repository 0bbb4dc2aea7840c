"""Debian's split configuration of Exim with contrib/exim's parts, put there by the commands of its README."""

import re

import pytest
from lab.exim import DebianExim
from lab.world import EXIM

COMMANDS = "\n".join(re.findall(r"(?m)^    ((?:cp|printf) .*)$", (EXIM / "README.md").read_text()))


@pytest.fixture(scope="module")
def mta(world):
    made = DebianExim("exim-debian", world, "127.0.5.49", COMMANDS, EXIM).start()
    yield made
    made.stop()


def test_commands_are_there():
    assert [line.split()[0] for line in COMMANDS.splitlines()] == ["cp"] * 4 + ["printf"]


def test_places(mta):
    """The routers come after the fixed routes and before those that look up MX records."""
    names = mta.run("-bP", "router_list").stdout.split()
    first = names.index("sts_query")
    assert names[first:first + 4] == ["sts_query", "sts_mx", "sts_route", "sts_none"]
    assert names.index("hubbed_hosts") < first < names.index("dnslookup_relay_to_domains") < names.index("dnslookup")


@pytest.mark.parametrize("profile", ["good", "wildcard", "sni-only", "chain"])
def test_good(lab, mta, profile):
    outcome = lab.send(lab.domain(profile, mode="enforce").address(), mta=mta)
    assert (outcome.sent, outcome.verify) == (True, "OK"), outcome
    assert lab.mx[profile].sessions_with(outcome.recipient)[-1].sni == lab.mx[profile].host


@pytest.mark.parametrize("profile", ["wrong-name", "expired", "self-signed", "cn-only", "no-starttls", "starttls-454", "tls-1.0"])
def test_bad_waits_and_plain_goes(lab, mta, profile):
    """Without a policy the same host gets its mail, though it has just failed for another domain."""
    domain, plain = lab.domain(profile, mode="enforce"), lab.domain(profile)
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.deferred and mta.is_waiting(outcome.queue_id)
    assert not lab.mx[profile].sessions_with(domain.address()) and not lab.in_clear()
    assert lab.send(plain.address(), mta=mta).sent


def test_sender_is_told_at_rcpt(lab, mta):
    """After Debian's own ACL, which still has its say."""
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.code == 451 and outcome.text.startswith(f"4.7.5 MTA-STS: {domain.name} accepts mail only at")
    odd = lab.domain("good", mode="enforce").address("a%b")
    assert lab.send(odd, mta=mta).code == 550
    assert not lab.sessions()


def test_nobody_answers(lab, mta):
    domain = lab.domain("good", mode="enforce")
    lab.daemons.cached.stop()
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.deferred and outcome.delivery.dsn == "4.7.5" and not lab.sessions()
