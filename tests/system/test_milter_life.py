"""The life of sts-milter: its children, reloads, its end, its start and its configuration."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
from milterlab import PROGRAM, FakeDaemon, Milter, is_listening, is_running, verdict, wait_until
from test_milter import VERDICTS, fixture_daemon, fixture_start, one_rcpt  # noqa: F401


def test_child_is_replaced(start, daemon):
    """A child that is killed is replaced, and the socket goes on serving."""
    daemon.answers = dict(VERDICTS)
    milter = start(processes="2")
    wait_until(lambda: len(milter.children) == 2, "two children")
    for _ in range(3):
        victim = milter.children[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(milter.children) == 2 and victim not in milter.children, "a new child")
        assert one_rcpt(milter, "refuse.test").code == "451"
    milter.wait_for_log("was killed by signal 9")


def test_children_follow_a_killed_parent(start, daemon):
    """Without the parent the children end, and the next start takes the socket over."""
    milter = start(processes="2")
    children = wait_until(lambda: len(milter.children) == 2 and milter.children, "two children")
    milter.process.kill()
    milter.process.wait()
    wait_until(lambda: not any(map(is_running, children)), "the end of the children")
    milter.start()
    assert one_rcpt(milter, "none.test").accepted


def test_reload_keeps_sessions(start, daemon):
    """SIGHUP: the message under way keeps its settings, the next one has the new."""
    daemon.answers = dict(VERDICTS)
    milter = start(processes="2")
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
        milter.reload(mode="observe", exempt_domains='{"more.test"}')
        assert talk.rcpt("u@refuse.test").code == "451"
        assert talk.end_of_message()[-1].accepted
        assert talk.rcpt("u@refuse.test").accepted
        assert talk.end_of_message()[-1].accepted
    milter.reload(mode="enforce", on_refuse="reject")
    assert one_rcpt(milter, "refuse.test").code == "550"


def test_reload_moves_to_another_daemon(start, daemon, tmp_path):
    """`cache` is taken by a reload; a child that starts later has it, too."""
    other = FakeDaemon(tmp_path / "other.sock")
    other.answers = {"x.test": ("refuse", "mx-not-listed")}
    milter = start()
    assert one_rcpt(milter, "x.test").accepted
    milter.reload(cache=f'"unix:{other.path}"')
    assert one_rcpt(milter, "x.test").code == "451"
    victim = milter.children[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: milter.children and victim not in milter.children, "a new child")
    assert one_rcpt(milter, "x.test").code == "451"
    other.stop()


def test_bad_reload_changes_nothing(start, daemon):
    """A file that is wrong is refused with its line, and the old settings stay."""
    daemon.answers = dict(VERDICTS)
    milter = start()
    children = wait_until(lambda: milter.children, "a child")
    for option, value in [("mode", "perhaps"), ("cache", '""'), ("exempt_domains", '{ "" }')]:
        good = milter.options.get(option)
        milter.write_config(**{option: value})
        milter.process.send_signal(signal.SIGHUP)
        milter.wait_for_log(rf"error: the old settings stay: .*sts-milter\.conf:\d+: {option.replace('_', '-')}: ")
        assert one_rcpt(milter, "refuse.test").code == "451"
        milter.options.pop(option)
        milter.options.update({option: good} if good else {})
    assert milter.children == children


def test_reload_names_what_needs_a_restart(start):
    """`processes` and `timeout` are not taken by a reload, and the log says so of both."""
    milter = start()
    milter.write_config(processes="3", timeout="100s")
    milter.process.send_signal(signal.SIGHUP)
    milter.wait_for_log("warning: .*processes, timeout.*restart")
    milter.wait_for_log("settings were read again")
    assert len(milter.children) == 1


def test_hangup_of_a_child_is_ignored(start, daemon):
    """SIGHUP sent to all processes of that name does not cut the sessions."""
    milter = start()
    with milter.talk() as talk:
        os.kill(milter.children[0], signal.SIGHUP)
        time.sleep(0.3)
        assert talk.rcpt("u@none.test").accepted


def test_stop(start, daemon):
    """SIGTERM: the answer that is under way is given, exit 0, no socket file, quickly."""
    def slow(domain, wait):
        time.sleep(0.4)
        return verdict("refuse", domain, "mx-not-listed")
    daemon.answers = {"slow.test": slow}
    milter = start(processes="4")
    with milter.talk() as talk:
        talk.rcpt_send("u@slow.test")
        time.sleep(0.1)
        code, seconds = milter.stop()
        assert talk.reply().code == "451"
    assert code == 0 and seconds < 3
    assert not os.path.exists(milter.socket)


def test_child_ends_by_sigterm(start):
    """A service manager signals every process: nothing hangs, exit 0."""
    milter = start(processes="2")
    wait_until(lambda: len(milter.children) == 2, "two children")
    for pid in milter.children:
        os.kill(pid, signal.SIGTERM)
    code, seconds = milter.stop()
    assert code == 0 and seconds < 8


def test_can_be_ended_from_the_first_moment(tmp_path, daemon):
    """SIGTERM right when the socket appears: exit 0, no socket file."""
    for number in range(10):
        directory = tmp_path / str(number)
        directory.mkdir()
        milter = Milter(directory, daemon)
        milter.start_at_once()
        assert milter.stop()[0] == 0
        assert not os.path.exists(milter.socket)


def test_socket_mode(start):
    """socket-mode is what the file gets, whatever the umask."""
    milter = start(socket_mode='"0666"')
    assert os.stat(milter.socket).st_mode & 0o777 == 0o666


def test_drops_privileges(start, daemon, tmp_path):
    """`user`: everything runs as that user; reload and stop work."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and parent != pathlib.Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.chmod(daemon.path, 0o666)
    daemon.answers = dict(VERDICTS)
    milter = start(user='"nobody"')
    wait_until(lambda: len(milter.children) == int(milter.options["processes"]), "the children")
    for pid in [milter.process.pid, *milter.children]:
        assert "65534\t65534\t65534\t65534" in pathlib.Path(f"/proc/{pid}/status").read_text()
    milter.config.chmod(0o644)
    milter.reload(on_refuse="reject")
    assert one_rcpt(milter, "refuse.test").code == "550"
    assert milter.stop()[0] == 0
    assert not os.path.exists(milter.socket)
    tmp_path.chmod(0o755)  # a folder of root's: the next start removes the socket
    milter.start()
    assert milter.stop()[0] == 0
    assert os.path.exists(milter.socket) and "error" not in milter.log
    milter.start()


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=False)


def test_starts_without_a_file_on_a_fresh_run():
    """With the defaults alone the folder of the socket is made, and the MTA's user may enter it."""
    fresh = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs fresh /run && exec "$0" -f', PROGRAM]
    with subprocess.Popen(fresh, stderr=subprocess.PIPE, text=True) as process:
        running = pathlib.Path(f"/proc/{process.pid}")
        folder = running / "root/run/sts-milter"  # that of the lab, until the shell has made a fresh one

        def is_there():
            return (running / "comm").read_text() == "sts-milter\n" and is_listening(str(folder / "milter.sock"))
        try:
            wait_until(lambda: process.poll() is not None or is_there(), "the socket")
            assert process.poll() is None, process.stderr.read()
            assert folder.stat().st_mode & 0o777 == 0o755
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_socket_that_cannot_be_bound_is_named(tmp_path):
    """Whatever is wrong with it."""
    config = tmp_path / "c.conf"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for spec, fault in [(f"unix:{tmp_path}/no/such/folder/s", f"cannot make {tmp_path}/no/such/folder: No such file"),
                            (f"unix:{config}", "exists and is no socket"),
                            (f"inet:{taken.getsockname()[1]}@127.0.0.1", "cannot bind: Address already in use")]:
            config.write_text(f'socket = "{spec}"\n')
            result = run("-f", "-c", str(config))
            assert result.returncode == 1
            assert result.stderr.startswith(f"sts-milter: {spec}: ") and fault in result.stderr, result.stderr


def test_second_start_is_refused(start, tmp_path):
    """A live socket is not taken away, and it is named."""
    milter = start()
    second = run("-f", "-c", str(milter.config))
    assert second.returncode == 1 and second.stderr.startswith(f"sts-milter: unix:{milter.socket}: "), second.stderr
    assert one_rcpt(milter, "none.test").accepted


def test_print_config(tmp_path):
    """What --print-config writes is a file with the same meaning; doubt is shown as the role has it."""
    config = tmp_path / "c.conf"
    config.write_text('role = wall\non-unknown = accept\nexempt-domains = {"A.test", ".b.test"}\nwait = "2s"\n')
    first = run("-c", str(config), "--print-config")
    assert first.returncode == 0, first.stderr
    lines = [" ".join(line.split()) for line in first.stdout.splitlines()]
    for wanted in ["on-pending", "on-cache-down"]:
        assert any(line.startswith(wanted) and "tempfail" in line for line in lines), first.stdout
    assert any(line.startswith("on-unknown") and "accept" in line for line in lines)
    config.write_text(first.stdout)
    assert run("-c", str(config), "--print-config").stdout == first.stdout
    assert run("-t", "-c", str(config)).returncode == 0


BAD_CONFIGS = ["unknown = 1", "role = door", "processes = 0", 'exempt-clients = {"10.0.0.1/8"}', 'exempt-domains = {"a b"}',
               'socket = "http://x"', "wait = \"1h\"", 'cache = "unix:"', "on-refuse = accept", 'cache = ""', 'socket = ""', 'exempt-clients = { "" }', "user = no-such-user",
               "socket-group = no-such-group"]


@pytest.mark.parametrize("line", BAD_CONFIGS)
def test_bad_config(tmp_path, line):
    """No start with a wrong file; file and line are named."""
    config = tmp_path / "c.conf"
    config.write_text(f"mode = enforce\n{line}\n")
    result = run("-t", "-c", str(config))
    assert result.returncode == 1 and f"{config}:2:" in result.stderr, result.stderr
