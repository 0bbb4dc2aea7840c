"""What is on disk outlives a clock that is wrong at the start, and damage while sts-cached runs on it."""

import json
import time

import pytest

from test_faults import (DAY_S, HOUR_S, WEEK_S, assert_secure, fixture_clock, fixture_own,  # noqa: F401
                         publish, start_wholly, take_source_away)
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
