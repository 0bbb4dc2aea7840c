"""What strikes a host strikes sts-milter: no memory in a child, or a child that dies in a message."""

import time

import pytest

from lab.preload import Allocator
from miltertalk import Closed
from milterlab import is_listening, wait_until
from test_milter import fixture_daemon, fixture_start  # noqa: F401  pylint: disable=unused-import

RIGHT = {"refuse.test": "451", "secure.test": "250"}


def say(milter):
    """What is said of each recipient in a session of its own, the second asked for twice."""
    said = []
    try:
        with milter.talk() as talk:
            for domain in ("refuse.test", "secure.test", "refuse.test"):
                said.append((domain, talk.rcpt(f"u@{domain}").code))
            talk.end_of_message()
    except (Closed, OSError):
        said.append(("", "cut"))
    return said


@pytest.mark.parametrize("caller, every", [("sts-milter", 10), ("sts-milter", 100), ("libmilter", 5), ("libmilter", 60)])
def test_no_memory(start, daemon, tmp_path, caller, every):
    """Allocations fail at random places: a child without memory ends and says so, and is replaced; where libmilter
    has none a session is cut. A recipient that is refused is never accepted for it, nor one refused that is not."""
    daemon.answers = {"refuse.test": ("refuse", "mx-not-listed"), "secure.test": ("secure", "ok")}
    allocator = Allocator(tmp_path, caller)
    milter = start(environment=allocator.environment)
    assert dict(say(milter)) == RIGHT
    allocator.fail(every)
    said = []
    end = time.monotonic() + 10
    while time.monotonic() < end and allocator.failed < 5:
        said += say(milter)
    failed = allocator.failed
    allocator.fail(0)
    print(failed, len(said), said.count(("", "cut")))
    assert failed >= 5
    assert {(domain, code) for domain, code in said if domain} <= set(RIGHT.items())
    wait_until(lambda: milter.children and dict(say(milter)) == RIGHT, "a child again", 20)
    assert milter.process.poll() is None and is_listening(milter.socket)
    if caller == "sts-milter":
        assert "error: out of memory, the program ends" in milter.log and "the next one starts in" in milter.log
    else:
        assert "out of memory" not in milter.log and "killed by signal" not in milter.log
