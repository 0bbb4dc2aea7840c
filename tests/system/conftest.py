"""The lab is started once a session; each test gets it with empty MX memories and running daemons."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab import namespace  # noqa: E402
from lab.farm import Farm  # noqa: E402
from lab.network import Cable  # noqa: E402
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
    bring_network_up()
    made = Internet(tmp_path_factory.mktemp("internet"))
    made.daemon.start()
    yield made
    status = made.daemon.stop()
    made.stop()
    made.daemon.check_log()
    assert status == 0


def bring_network_up():
    if namespace.is_private():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture(scope="module")
def started_farm(request, tmp_path_factory):
    """Three nodes and their Redis. A module that sets FARM wants more of it (lab/farm.py)."""
    assert namespace.is_private(), "not in a private namespace: start the tests with tests/system/run"
    bring_network_up()
    options = dict(getattr(request.module, "FARM", {}))
    cable = request.getfixturevalue("cable") if options.pop("cable", False) else None
    made = Farm(tmp_path_factory.mktemp("farm"), cable=cable, **options)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def cable():
    made = Cable()
    yield made
    made.stop()


@pytest.fixture
def farm(started_farm):
    """A test may stop or hurt any part; afterwards all run again. It uses domains of its own."""
    yield started_farm
    started_farm.make_well()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what every part of the lab said last. Root can run every test: one that is
    skipped all the same hides something that is missing."""
    report = (yield).get_result()
    if report.skipped and os.geteuid() == 0:
        report.outcome, report.longrepr = "failed", f"skipped as root: {report.longrepr}"
    parts = getattr(item, "funcargs", {})
    world = parts.get("world") or parts.get("started_farm")
    if report.failed and world:
        report.sections.append(("lab", world.logs_text()))
