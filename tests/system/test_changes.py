"""Policies that change, and policy hosts that go away."""

import itertools
import time

from lab.process import wait_until


def test_policy_changes_while_mail_waits(lab):
    """Mail that waits for a bad MX goes out by itself once the domain has published its new MX under a
    new id: the id is looked up again a minute after it was last seen."""
    domain = lab.domain("expired", mode="enforce")
    waiting = lab.send(domain.address())
    assert waiting.deferred
    domain.set_mx("second")
    domain.set_policy("enforce", ["second.mx.lab.test"])
    again = retry_until_sent(lab, waiting, seconds=100)
    assert lab.mta.verify(again) == "OK"
    assert lab.mx["second"].sessions_with(domain.address()) and not lab.in_clear()


def retry_until_sent(lab, outcome, seconds):
    end = time.monotonic() + seconds
    for attempt in itertools.count(2):
        lab.mta.run_queue(outcome.queue_id)
        delivery = lab.mta.wait_for_delivery(outcome.queue_id, outcome.recipient, attempt)
        if delivery.sent:
            return delivery
        assert time.monotonic() < end, f"still {delivery.stat}"
        time.sleep(5)


def test_mended_policy_is_seen_before_refusing(lab):
    """A domain that forgot to list its MX and mends that is not refused for long: before each refusal
    the id is looked up anew, at most once in ten seconds."""
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    assert lab.send(domain.address()).code == 451
    domain.set_policy("enforce", ["good.mx.lab.test"])
    wait_until(lambda: lab.daemons.verdict(domain.name)[0] == "secure", "the new policy is not seen", 25)
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "OK")


def test_cached_policy_outlives_its_host(lab):
    """With the policy host down and the record gone, a cached policy is still enforced."""
    domain = lab.domain("good", mode="enforce")
    assert lab.send(domain.address()).sent
    lab.policies.stop()
    lab.dns.set_txt(f"_mta-sts.{domain.name}")
    assert lab.daemons.stsctl("refresh", domain.name).returncode == 2
    domain.set_mx("self-signed")
    outcome = lab.send(domain.address())
    assert outcome.code == 451 or outcome.deferred
    assert not lab.mx["self-signed"].sessions_with(domain.address()) and not lab.in_clear()
    domain.set_mx("good")
    assert lab.send(domain.address("again")).verify == "OK"


def test_cached_policy_still_judges_certificates(lab):
    """With the policy host down, the listed MX must still show a good certificate."""
    domain = lab.domain("expired", mode="enforce")
    assert lab.send(domain.address()).deferred
    lab.policies.stop()
    assert lab.send(domain.address("again")).deferred
    assert not lab.in_clear()


def test_policy_host_down_from_the_start(lab):
    """A record without a policy host says nothing yet: mail is delivered as to a domain without one."""
    domain = lab.domain("self-signed", mode="enforce")
    lab.policies.stop()
    assert lab.daemons.stsctl("query", domain.name).returncode == 2
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.daemons.verdict(domain.name) == ("none", "connect-refused")


def test_policy_host_that_answers_503(lab):
    """A policy host that answers, but not with a policy, takes no policy away and gives none."""
    known, new = lab.domain("expired", mode="enforce"), lab.domain("expired", mode="enforce")
    assert lab.send(known.address()).deferred
    for domain in (known, new):
        lab.policies.set_status(domain.name, 503)
    assert lab.daemons.stsctl("refresh", known.name).returncode == 2
    assert lab.send(known.address("again")).deferred
    assert lab.send(new.address()).sent
    assert lab.daemons.verdict(new.name) == ("none", "http-status")


def test_policy_with_a_bad_certificate_is_none(lab):
    """A policy that comes under another host's certificate is not believed."""
    domain = lab.domain("self-signed", mode="enforce")
    other = lab.domain("good", mode="enforce")
    lab.policies.borrow_certificate(domain.name, other.name)
    assert lab.send(domain.address()).sent
    assert lab.daemons.verdict(domain.name) == ("none", "tls-name")


def test_weaker_policy_takes_effect(lab):
    """A newly fetched valid policy replaces the old one, from enforce to testing too."""
    domain = lab.domain("expired", mode="enforce")
    assert lab.send(domain.address()).deferred
    domain.set_policy("testing", ["expired.mx.lab.test"])
    assert lab.daemons.stsctl("refresh", domain.name).returncode == 0
    assert lab.send(domain.address("again")).sent
