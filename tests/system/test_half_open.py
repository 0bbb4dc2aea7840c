"""A peer that went without a word (power, cable, firewall) must not hold its place for the two hours of the kernel."""

import re
import socket
import subprocess

from lab.process import wait_until
from milterlab import FakeDaemon, Milter
from vectors.internet import free_port

FOUND_WITHIN = 60  # seconds, until the first question whether it is still there


def seconds_until_asked(port, peer):
    """From when on the kernel asks the idle peer of our accepted connection. None: it is not accepted."""
    sport, dport = f":{port}", f":{peer.getsockname()[1]}"
    listed = subprocess.run(["ss", "-tnpoH", "state", "established", "sport", "=", sport, "dport", "=", dport],
                            capture_output=True, text=True, check=True).stdout
    if "users:" not in listed:
        return None
    timer = re.search(r"timer:\(keepalive,(\d+min)?(?:(\d+)(?:\.\d+)?sec)?,", listed)
    return int((timer[1] or "0min")[:-3]) * 60 + int(timer[2] or 0) if timer else 7200


def assert_asked_in_time(port):
    with socket.create_connection(("127.0.0.1", port)) as peer:
        seconds = wait_until(lambda: seconds_until_asked(port, peer), "no connection")
        assert seconds <= FOUND_WITHIN


def test_questions(internet):
    """An MTA's idle connection to sts-cached."""
    assert_asked_in_time(internet.daemon.values["query_port"])


def test_milter(internet, tmp_path):  # pylint: disable=unused-argument
    """An MTA's idle session with sts-milter."""
    port, daemon = free_port(), FakeDaemon(tmp_path / "query.sock")
    milter = Milter(tmp_path, daemon, socket=f'"inet:{port}@127.0.0.1"')
    milter.start_on_port(port)
    try:
        assert_asked_in_time(port)
    finally:
        assert milter.stop()[0] == 0, milter.log
        daemon.stop()
