"""The units of contrib/systemd: how they are rated, and that the daemons live with what they allow."""

import os
import pathlib
import re
import signal
import subprocess

import pytest
from lab.daemons import accepts, program
from lab.farm import Farm, Node
from lab.process import Process
from milterlab import FakeDaemon, wait_until
from miltertalk import MilterTalk
from vectors.internet import BUILD

UNITS = pathlib.Path(__file__).resolve().parents[2] / "contrib/systemd"
RATED = {"sts-cached": 1.4, "sts-milter": 0.5}  # below 5.0 is "OK", below 1.0 "SAFE"
# What the sanitizers use for themselves.
OF_SANITIZERS = {"sched_getaffinity", "prlimit64", "personality"}


def unit(name, directory):
    """The unit as it would be installed, with the program of this build."""
    text = (UNITS / f"{name}.service.in").read_text().replace("@sbindir@", "/usr/sbin")
    path = directory / f"{name}.service"
    path.write_text(text.replace(f"/usr/sbin/{name}", str(program(pathlib.Path(BUILD), name))))
    return path


def setting(name, key):
    """All values of one setting of a unit."""
    return re.findall(rf"(?m)^{key}=(.*)$", (UNITS / f"{name}.service.in").read_text())


def test_no_fault(tmp_path):
    """systemd finds none with any unit."""
    paths = [unit(name, tmp_path) for name in RATED]
    for socket in UNITS.glob("*.socket"):
        paths.append(tmp_path / socket.name)
        paths[-1].write_text(socket.read_text())
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False)
    assert len(paths) == 4 and not [name for name in RATED if name in checked.stderr], checked.stderr


@pytest.mark.parametrize("name", RATED)
def test_rating(name, tmp_path):
    """systemd rates the unit as the README says."""
    path = unit(name, tmp_path)
    rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                           capture_output=True, text=True, check=False)
    figure, word = re.search(r"Overall exposure level for \S+: ([\d.]+) (\w+)", rated.stdout).groups()
    assert float(figure) == RATED[name], rated.stdout
    assert f"{figure} ({word}) for {name}.service" in (UNITS / "README.md").read_text()


def call_sets():
    """systemd's named sets of system calls, each spelled out."""
    listing = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True,
                             check=True).stdout
    raw = {}
    for block in re.split(r"\n(?=@)", listing):
        lines = [line.strip() for line in block.splitlines()]
        raw[lines[0]] = [line for line in lines[1:] if line and not line.startswith("#")]

    def spelled_out(name):
        return set().union(*(spelled_out(one) if one.startswith("@") else {one} for one in raw[name]))
    return {name: spelled_out(name) for name in raw}


def allowed_calls(name):
    """By the SystemCallFilter lines of the unit, in their order."""
    sets, calls = call_sets(), set()
    for line in setting(name, "SystemCallFilter"):
        named = set().union(*(sets.get(word, {word}) for word in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls | sets["@default"]


def used_calls(trace):
    """The names of the system calls in strace's output."""
    return set(re.findall(r"(?m)^(?:\d+ +)?(\w+)\(", trace.read_text(errors="replace")))


def confined(writable):
    """Words before a command line: no privilege, another user, and nothing to write but `writable`."""
    keep = "".join(f'mount --bind "{path}" "{path}" && ' for path in writable)
    return ["unshare", "--mount", "sh", "-c", f'{keep}mount -o remount,bind,ro / && exec setpriv --reuid 65534 '
            '--regid 65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"', "sh"]


@pytest.fixture
def strace(tmp_path, monkeypatch):
    """Words before a command line, and the file in which its system calls will be."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # LeakSanitizer cannot be traced
    trace = tmp_path / "calls"
    return ["strace", "-f", "-qq", "-o", str(trace)], trace


class ConfinedNode(Node):
    """A node whose program is entered by these words."""

    words = ()

    def start(self):
        self.write_config()
        self.process.argv = [*map(str, self.words), str(program(BUILD, "sts-cached")), "-f", "-c", str(self.config)]
        self.process.start()
        return self


def use_all(farm, node):
    """Questions of every kind, an order, a reload."""
    domain = farm.sources.new_domain()
    assert node.verdict(domain)["verdict"] == "secure"
    assert node.ask(f"postfix {domain}").startswith("OK secure")
    assert node.verdict(farm.sources.plain_domain())["verdict"] == "none"
    assert node.stsctl("flush", domain).returncode == 0
    assert node.stsctl("list").returncode == 0
    node.process.child.send_signal(signal.SIGHUP)
    wait_until(lambda: "new settings" in node.log_text() or "reload" in node.log_text(), "no reload")
    assert node.verdict(domain)["verdict"] == "secure"


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = Farm(tmp_path_factory.mktemp("units"), nodes=0)
    made.redis.start()
    yield made
    made.stop()


def stop_traced(process):
    """strace itself passes over the signal; the program below it gets it."""
    tracer = process.child.pid
    below = pathlib.Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()
    for pid in below:
        os.kill(int(pid), signal.SIGTERM)
    return process.child.wait(20)


def test_system_calls_of_cached(farm, strace, monkeypatch):
    """sts-cached, in a farm, uses none that its unit forbids."""
    words, trace = strace
    monkeypatch.setattr(farm, "environment", lambda: dict(os.environ))
    node = ConfinedNode(1, farm)
    node.words = words
    node.start()
    domain = farm.sources.new_domain()
    assert node.verdict(domain)["verdict"] == "secure"
    assert node.stsctl("flush", domain).returncode == 0
    assert stop_traced(node.process) == 0
    used = used_calls(trace)
    assert {"fdatasync", "sendto", "clone3", "accept4"} & used, used
    assert not used - allowed_calls("sts-cached") - OF_SANITIZERS


def test_cached_confined(farm):
    """sts-cached without privileges and with a file system that cannot be written, but for its own places."""
    node = ConfinedNode(2, farm)
    for path in (node.directory, node.state):
        path.chmod(0o777)
    subprocess.run(["chown", "-R", "65534:65534", node.directory], check=True)
    for parent in node.directory.parents[:4]:
        parent.chmod(parent.stat().st_mode | 0o011)
    reports = f"halt_on_error=1:abort_on_error=1:log_path={node.directory}/sanitizer"
    node.process.env = {**os.environ, "ASAN_OPTIONS": reports, "UBSAN_OPTIONS": reports}
    node.words = confined([node.directory])
    node.write_config()
    subprocess.run(["chown", "65534", node.key_file], check=True)
    node.start()
    status = pathlib.Path(f"/proc/{node.process.child.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status
    use_all(farm, node)
    status = node.stop()
    assert status == 0, [one.read_text() for one in node.directory.glob("sanitizer*")]


def milter_argv(directory, daemon, words):
    config = directory / "sts-milter.conf"
    config.write_text(f'socket = "unix:{directory}/milter.sock"\ncache = "unix:{daemon.path}"\nprocesses = 2\n')
    return [*map(str, words), str(program(pathlib.Path(BUILD), "sts-milter")), "-f", "-c", str(config)]


def ask_milter(directory):
    talk = MilterTalk(str(directory / "milter.sock")).negotiate()
    talk.connect()
    talk.mail()
    return talk.rcpt("u@refuse.test").code


@pytest.fixture
def daemon(tmp_path):
    made = FakeDaemon(tmp_path / "query.sock")
    made.answers = {"refuse.test": ("refuse", "mx-not-listed")}
    yield made
    made.stop()


def test_system_calls_of_milter(daemon, strace, tmp_path):
    """sts-milter uses none that its unit forbids."""
    words, trace = strace
    process = Process("milter", milter_argv(tmp_path, daemon, words), tmp_path,
                      lambda: accepts(str(tmp_path / "milter.sock")), dict(os.environ)).start()
    assert ask_milter(tmp_path) == "451"
    assert stop_traced(process) == 0
    used = used_calls(trace)
    assert {"clone", "clone3", "fork"} & used, used
    assert not used - allowed_calls("sts-milter") - OF_SANITIZERS
