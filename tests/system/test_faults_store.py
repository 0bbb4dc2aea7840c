"""What is on disk outlives a clock that is wrong at the start, and damage while sts-cached runs on it."""

import json
import os
import random
import signal
import time

import pytest

from test_faults import (DAY_S, HOUR_S, WEEK_S, assert_secure, fixture_clock, fixture_own,  # noqa: F401
                         publish, start_wholly, take_source_away)
from vectors.asker import Closed
from vectors.internet import policy

# --- clocks -----------------------------------------------------------------------------------------------


def held(own):
    """What `stsctl list` shows as in force."""
    return {one["domain"] for one in json.loads(own.daemon.stsctl("--json", "list").stdout)["policies"]}


@pytest.mark.parametrize("ahead_s", [DAY_S, 366 * DAY_S], ids=["day", "year"])
def test_clock_ahead_at_the_start(own, clock, ahead_s):
    """The machine starts with its clock ahead, and questions come before it is set: policies that have ended by
    that clock are neither used nor shown, and none is lost. They are in force again as soon as the clock is
    right, and after a restart, too."""
    own.daemon.start()
    hour, week = publish(own, 2, body=policy(max_age=str(HOUR_S))), publish(own, 2, body=policy(max_age=str(WEEK_S)))
    assert_secure(own, hour + week)
    assert own.daemon.stop() == 0
    take_source_away(own)
    clock.step(ahead_s)
    start_wholly(own)
    over = hour + week if ahead_s > WEEK_S else hour
    assert held(own) == set(hour + week) - set(over)
    assert {own.verdict(domain)["verdict"] for domain in over} <= {"unknown", "pending"}
    assert own.daemon.stsctl("show", over[0]).returncode != 0
    time.sleep(2.5)  # their refresh is due by that clock
    clock.step(0)
    assert_secure(own, hour + week)
    assert held(own) == set(hour + week)
    own.daemon.kill()
    own.daemon.start()
    assert {own.verdict(domain)["source"] for domain in hour + week} == {"lmdb"}
    assert_secure(own, hour + week)


# --- damage -----------------------------------------------------------------------------------------------

PAGE = 4096
SIGNALS_AS_THEY_ARE = "handle_segv=0:handle_sigbus=0:handle_abort=0:detect_leaks=0"  # not made reports of
GONE = "closed"


def words(own, domains):
    """The verdict of each; GONE when the daemon died of the question, or is not there."""
    said = []
    for domain in domains:
        try:
            said.append(own.verdict(domain)["verdict"])
        except (Closed, OSError):
            said.append(GONE)
    return said


def cut(path, choice):
    os.truncate(path, choice.choice([0, PAGE, 2 * PAGE, path.stat().st_size // 2 // PAGE * PAGE]))


def overwrite(path, choice):
    """Some pages behind the heads become noise, by the kernel's memory that the daemon maps."""
    pages = path.stat().st_size // PAGE
    with open(path, "r+b", buffering=0) as file:
        for page in choice.sample(range(2, pages), min(pages - 2, 1 + choice.randrange(6))):
            file.seek(page * PAGE)
            file.write(choice.randbytes(PAGE))


@pytest.mark.parametrize("damage", [cut, overwrite, overwrite])
def test_store_damaged_under_the_daemon(own, damage, request):
    """Somebody cuts the store or writes into it while it is used: the daemon goes on or ends by a signal, and says
    no word that is wrong meanwhile. Started again, without a hand, it has what was sound and fetches the rest: each
    domain is secure, never without a policy."""
    seed = os.environ.get("STS_FAULT_SEED", request.node.name)
    print(f"again with STS_FAULT_SEED={seed}")
    choice = random.Random(seed)
    own.daemon.values["more"] = 'memory-size = "1M"'
    own.daemon.environment = {"ASAN_OPTIONS": SIGNALS_AS_THEY_ARE}
    start_wholly(own)
    domains = publish(own, 60)
    assert_secure(own, domains)
    time.sleep(0.3)
    own.daemon.kill()
    start_wholly(own)  # nothing is in memory
    assert_secure(own, domains[:5])
    damage(own.daemon.state / "policies.mdb", choice)
    said = words(own, domains + publish(own, 3))
    print(said.count("secure"), said.count(GONE))
    assert set(said) <= {"secure", GONE}
    if GONE in said:
        assert own.daemon.process.wait(20) in (-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT)
        assert (own.daemon.state / "suspect").exists()
    else:
        own.daemon.kill()
    start_wholly(own)
    sources = [own.verdict(domain)["source"] for domain in domains]
    print({source: sources.count(source) for source in sources})
    assert_secure(own, domains)
    assert words(own, publish(own, 3)) == ["secure"] * 3
