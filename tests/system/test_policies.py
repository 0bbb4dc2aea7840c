"""The main job: what a policy says decides what the client is told and what the MX sees."""

import pytest


def test_no_policy(lab):
    """A domain without a policy is delivered with whatever TLS there is, a bad certificate included."""
    domain = lab.domain("self-signed")
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "FAIL")
    assert lab.mx["self-signed"].sessions_with(domain.address())
    assert lab.daemons.verdict(domain.name) == ("none", "no-record")


def test_no_policy_and_no_tls(lab):
    """Without a policy an MX that has no STARTTLS still gets its mail."""
    domain = lab.domain("no-starttls")
    assert lab.send(domain.address()).sent
    assert lab.mx["no-starttls"].in_clear() == ["MAIL", "RCPT", "DATA"]


def test_testing_never_stops_mail(lab):
    """A policy in mode testing lets mail pass to an MX that it does not list, with a bad certificate."""
    domain = lab.domain("expired", mode="testing", listed=["elsewhere.example"])
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.daemons.verdict(domain.name)[0] == "testing"


def test_enforce_with_good_mx(lab):
    """Under enforce a good MX gets the mail over verified TLS, asked for by its own name (SNI)."""
    domain = lab.domain("good", mode="enforce")
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "OK")
    [session] = lab.mx["good"].sessions_with(domain.address())
    assert session.sni == lab.mx["good"].host
    assert session.tls in ("TLSv1.2", "TLSv1.3") and not lab.in_clear()
    assert lab.daemons.verdict(domain.name) == ("secure", "ok")


def test_enforce_with_certificate_by_sni_only(lab):
    """An MX that shows its right certificate only to those who ask for it by name is delivered to."""
    domain = lab.domain("sni-only", mode="enforce")
    outcome = lab.send(domain.address())
    assert (outcome.sent, outcome.verify) == (True, "OK")
    assert lab.mx["sni-only"].sessions_with(domain.address())[0].sni == lab.mx["sni-only"].host


def test_enforce_with_wildcard_certificate(lab):
    """A certificate for *.wild... is good for one label below it: the stock feature's bug is mended."""
    domain = lab.domain("wildcard", mode="enforce")
    outcome = lab.send(domain.address())
    assert (outcome.sent, outcome.verify) == (True, "OK")


def test_enforce_with_wildcard_pattern(lab):
    """A pattern *.mx.lab.test in the policy covers the MX."""
    domain = lab.domain("good", mode="enforce", listed=["*.mx.lab.test"])
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "OK")


def test_long_policy(lab):
    """Sendmail reads 255 bytes of a list; a domain with more patterns is delivered to all the same."""
    others = [f"mx{number}.some-large-provider.example" for number in range(40)]
    domain = lab.domain("good", mode="enforce", listed=[*others, "good.mx.lab.test"])
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "OK")


def test_enforce_with_no_listed_mx(lab):
    """When the policy lists none of the domain's MXs the sender is told at once, and nothing is sent."""
    domain = lab.domain("good", "second", mode="enforce", listed=["mail.elsewhere.example"])
    outcome = lab.send(domain.address())
    assert outcome.code == 451
    assert outcome.text.startswith("4.7.5 ") and domain.name in outcome.text
    assert not lab.sessions()
    assert lab.daemons.verdict(domain.name) == ("refuse", "mx-not-listed")


@pytest.mark.parametrize("bad", ["wrong-name", "expired", "self-signed", "cn-only", "no-starttls", "starttls-454"])
def test_second_mx_is_good(lab, bad):
    """An MX with a bad certificate, or none, is passed over for the next one that the policy lists."""
    domain = lab.domain(bad, "second", mode="enforce")
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.mx["second"].sessions_with(domain.address())[0].tls
    assert not lab.mx[bad].sessions_with(domain.address()) and not lab.in_clear()


def test_first_mx_is_not_listed(lab):
    """An MX that the policy does not list gets nothing, though preferred and with a good certificate."""
    domain = lab.domain("good", "second", mode="enforce", listed=["second.mx.lab.test"])
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.mx["second"].sessions_with(domain.address())
    assert not lab.mx["good"].sessions_with(domain.address())


def test_mode_none_ends_enforcement(lab):
    """A policy in mode none is a valid policy that asks for nothing."""
    domain = lab.domain("self-signed", mode="none", listed=[])
    assert lab.send(domain.address()).sent
    assert lab.daemons.verdict(domain.name)[0] == "none"
