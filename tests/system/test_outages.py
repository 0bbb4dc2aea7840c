"""DNS and our own daemons fail; mail neither leaks nor is refused for it."""

import signal
import time


def test_servfail_without_a_cached_policy(lab):
    """A domain whose record cannot be looked up is unknown: the gate accepts and the mail goes out."""
    domain = lab.domain("self-signed", mode="enforce")
    lab.dns.servfail(f"_mta-sts.{domain.name}")
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.daemons.verdict(domain.name) == ("unknown", "dns-servfail")
    assert lab.daemons.stsctl("query", domain.name).returncode == 2


def test_servfail_with_a_cached_policy(lab):
    """SERVFAIL takes no policy away."""
    domain = lab.domain("expired", mode="enforce")
    assert lab.send(domain.address()).deferred
    lab.dns.servfail(f"_mta-sts.{domain.name}")
    lab.daemons.stsctl("refresh", domain.name)
    assert lab.send(domain.address("again")).deferred
    assert not lab.in_clear()


def test_silent_dns_holds_nobody(lab):
    """A name server that never answers costs a few seconds, not the message."""
    domain = lab.domain("good")
    lab.dns.silence(f"_mta-sts.{domain.name}")
    begin = time.monotonic()
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent) == (250, True)
    assert time.monotonic() - begin < 20
    assert lab.daemons.verdict(domain.name)[0] == "unknown"


def test_killed_daemon_defers_and_comes_back(lab):
    """kill -9 in mid-run: the gate accepts, deliveries wait; after the restart they go out under the
    old policy, though its host is down."""
    domain, plain = lab.domain("good", mode="enforce"), lab.domain("good")
    assert lab.send(domain.address()).verify == "OK"
    lab.policies.stop()
    lab.daemons.cached.stop(signal.SIGKILL)
    waiting = [lab.send(one.address("waiting")) for one in (domain, plain)]
    assert all(outcome.code == 250 and outcome.deferred for outcome in waiting)
    assert not lab.mx["good"].sessions_with(domain.address("waiting")) and not lab.mx["good"].in_clear()
    lab.daemons.cached.start()
    assert lab.daemons.query(domain.name)["source"] == "lmdb"
    lab.mta.run_queue(*(outcome.queue_id for outcome in waiting))
    assert all(lab.mta.wait_for_delivery(one.queue_id, one.recipient, attempt=2).sent for one in waiting)
    assert lab.mx["good"].sessions_with(domain.address("waiting"))[0].sni == lab.mx["good"].host


def test_killed_daemon_keeps_refusing_after_restart(lab):
    """The gate still knows after kill -9 and a restart whom it must refuse, with the policy host down."""
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    assert lab.send(domain.address()).code == 451
    lab.policies.stop()
    lab.daemons.cached.stop(signal.SIGKILL)
    lab.daemons.cached.start()
    assert lab.send(domain.address()).code == 451
    assert not lab.sessions()


def test_dead_milter_stops_no_mail_and_leaks_none(lab):
    """Without the gate the maps still enforce: the wall does not depend on it."""
    domain, plain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"]), lab.domain("good")
    lab.daemons.milter.stop()
    assert lab.send(plain.address()).sent
    assert lab.send(domain.address()).deferred
    assert not lab.mx["good"].sessions_with(domain.address())


def test_daemons_end_well(lab):
    """SIGTERM ends both programs with status 0."""
    assert lab.daemons.stop() == {"sts-milter": 0, "sts-cached": 0}
