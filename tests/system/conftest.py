"""The lab is started once a session; each test gets it with empty MX memories and running daemons."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab import namespace  # noqa: E402
from lab.world import Lab  # noqa: E402
from vectors.internet import Internet  # noqa: E402


@pytest.fixture(scope="session")
def world():
    lab = Lab()
    try:
        yield lab.start()
    finally:
        lab.stop()


@pytest.fixture
def lab(world):
    """A test may stop the daemons or the policy host; afterwards they run again."""
    world.forget_sessions()
    yield world
    world.restart_what_is_down()


@pytest.fixture(scope="session")
def internet(tmp_path_factory):
    """One sts-cached and the hostile Internet around it; each test uses domains of its own."""
    if namespace.is_private():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = Internet(tmp_path_factory.mktemp("internet"))
    made.daemon.start()
    yield made
    status = made.daemon.stop()
    made.stop()
    made.daemon.check_log()
    assert status == 0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what every part of the lab said last."""
    report = (yield).get_result()
    world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.failed and world:
        report.sections.append(("lab", world.logs_text()))
