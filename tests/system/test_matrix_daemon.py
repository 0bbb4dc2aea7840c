"""Each MTA with a policy service that is down, late or talking nonsense: mail waits where nobody knows
whether it must be protected, and nothing leaves insecurely. One run, a test for each cell."""

import re

import pytest

from lab import client
from lab.standin import StandIn, Way

MTAS = ("sendmail", "postfix", "exim")
WAYS = {
    "down": None,
    "3-s-late": Way(delay_s=3),
    "7-s-late": Way(delay_s=7),
    "no-netstring": Way(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "closed": Way(answer=b""),
    "cut": Way(answer=b"51:OK secure match=go"),
}
DELIVERS = {("3-s-late", mta) for mta in MTAS} | {("7-s-late", "postfix")}  # Sendmail and Exim wait 5 s
CELLS = [(way, mta) for way in WAYS for mta in MTAS]
CAUSE = {"sendmail": r"dsn=4\.7\.0, stat=Deferred: 450 4\.7\.0 .*STS lookup temp fail", "postfix": r"dsn=4\.7\.5, .*client TLS configuration problem",
         "exim": r"4\.7\.5 MTA-STS"}


def send_all(world, mtas, names, domains):
    """One message to the enforcing and one to the plain domain of each cell, all under way at once."""
    return [(way, mta, kind, domain.address(), client.submit(domain.address(), address=mtas[mta].address))
            for (way, mta), pair in domains.items() if way in names for kind, domain in pair.items()]


def outcome(world, mta, recipient, submission):
    """What became of it: the attempt or None, waiting or not, the session that took it, what leaked."""
    code, text = submission.replies[recipient]
    attempt = mta.wait_for_delivery(submission.queue_id, recipient, seconds=90) if code == 250 else None
    taken = [session for one in world.mx.values() for session in one.sessions_with(recipient)]
    clear = [argument for one in world.mx.values() for session in one.sessions
             for verb, argument, under_tls in session.commands if verb == "RCPT" and recipient in argument and not under_tls]
    return {"code": code, "sent": bool(attempt and attempt.sent), "taken": taken, "clear": clear,
            "verify": mta.verify(attempt) if attempt else "", "why": mta.reason(attempt) if attempt else text,
            "log": mta.log_of(submission.queue_id) if attempt else text,
            "held": code == 451 or bool(attempt and attempt.deferred and mta.is_waiting(submission.queue_id))}


@pytest.fixture(scope="module")
def outcomes(world):
    mtas = {"sendmail": world.mta, "postfix": world.postfix(), "exim": world.exim()}
    domains = {cell: {"enforcing": world.domain("good"), "plain": world.domain("self-signed")} for cell in CELLS}
    ways = {domain.name: (WAYS[way], [world.mx["good"].host] if kind == "enforcing" else None)
            for (way, _), pair in domains.items() if WAYS[way] for kind, domain in pair.items()}
    world.forget_sessions()
    world.daemons.milter.stop()  # the gate could hide what the maps do
    world.daemons.cached.stop()
    found = {}

    def play(names):
        for way, mta, kind, recipient, submission in send_all(world, mtas, names, domains):
            found[way, mta, kind] = (mta, recipient, submission)
        for key in [key for key in found if key[0] in names]:
            mta, recipient, submission = found[key]
            found[key] = outcome(world, mtas[mta], recipient, submission)
    play(["down"])
    stand_in = StandIn(ways).start()
    try:
        play([way for way in WAYS if WAYS[way]])
    finally:
        stand_in.stop()
        world.daemons.cached.start()
        world.restart_what_is_down()
    return found


@pytest.mark.parametrize("way, mta", CELLS)
def test_enforcing_domain(world, outcomes, way, mta):
    """Verified TLS to the right name, or it waits; never a recipient in the clear."""
    one = outcomes[way, mta, "enforcing"]
    assert not one["clear"]
    if (way, mta) in DELIVERS:
        assert one["sent"] and one["verify"] == "OK", one["why"]
        assert [session.sni for session in one["taken"]] == [world.mx["good"].host]
    else:
        assert one["held"] and not one["taken"], one["why"]


@pytest.mark.parametrize("way, mta", CELLS)
def test_plain_domain(outcomes, way, mta):
    """What cannot be told from an enforcing domain waits as that does; an answer, though late, lets it go."""
    one = outcomes[way, mta, "plain"]
    assert bool(one["taken"]) == ((way, mta) in DELIVERS), one["why"]
    assert one["held"] == ((way, mta) not in DELIVERS), one["why"]


@pytest.mark.parametrize("way, mta", [cell for cell in CELLS if cell not in DELIVERS])
def test_cause_is_named(outcomes, way, mta):
    """Whoever looks at the queue reads that it is the policy service."""
    one = outcomes[way, mta, "enforcing"]
    assert re.search(CAUSE[mta], one["why"] + one["log"], re.IGNORECASE), one["why"] + one["log"]
