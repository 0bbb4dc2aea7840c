"""stage - the programs under measurement: where they are, how they are started, which core is theirs."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SERVER_CORE, LOAD_CORE = sorted(os.sched_getaffinity(0))[0], sorted(os.sched_getaffinity(0))[-1]
START_S, STOP_S = 30, 15
ELSEWHERE = ("chrt", "--idle", "0")  # of what are other machines in life: only when nobody else wants the processor


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(specification):
    """True when something listens at unix:/path or inet:port@host."""
    kind, _, rest = specification.partition(":")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(rest)
        else:
            port, _, host = rest.partition("@")
            socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def wait_for(condition, what, seconds=START_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what}")
        time.sleep(0.01)


class Stage:
    """A temporary directory and everything that runs in it; leaving it ends all of that."""

    def __init__(self, build, only=""):
        self.build, self.only = pathlib.Path(build), only  # of the part's rows those that hold `only`
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sts-bench-"))
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for process in reversed(self.running):
            stop(process)
        shutil.rmtree(self.directory)

    def program(self, name):
        places = [self.build / name, self.build / "tests/bench" / name]
        return next(str(place) for place in places if place.is_file())

    def start(self, words, core=None, log="/dev/null"):
        """Starts a program on a core of its own (None: on any); its stderr goes to a file."""
        with open(log, "ab") as errors:
            process = subprocess.Popen(on_core(words, core), stderr=errors, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def run(self, *words, core=LOAD_CORE, timeout=300):
        """Runs a program to its end and returns what it printed."""
        done = subprocess.run(on_core(words, core), capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def end(self, process):
        self.running.remove(process)
        stop(process)


def cpu_seconds(process):
    """What all its threads have used so far; measured in ns where the kernel has schedstat."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")) / 1e9


def on_core(words, core):
    words = [str(word) for word in words]
    return words if core is None else ["taskset", "-c", str(core), *words]


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    process.stdout.close()


class World:
    """DNS and policy hosts of the bench (world.c)."""

    def __init__(self, stage, certificates, elsewhere=False, ports=None):
        self.dns_port, self.https_port = ports or (free_port(socket.SOCK_DGRAM), free_port())
        self.ca = stage.directory / "ca.pem"
        words = [stage.program("world"), self.dns_port, self.https_port, self.ca, certificates]
        self.process = stage.start([*ELSEWHERE, *words] if elsewhere else words, LOAD_CORE, stage.directory / "world.log")
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("bench: the world does not start")


CONFIG = """\
listen = {{ "{unix}", "{inet}" }}
control = "{control}"
state-directory = "{directory}/state"
dns {{ servers = {{ "inet:{dns}@127.0.0.1" }} }}
fetch {{ ca-file = "{ca}" port = {https} allow-address = {{ "127.0.0.0/8" }} }}
{more}
"""


class Cached:
    """sts-cached in the world, with defaults wherever that is possible."""

    def __init__(self, stage, world, name="cached", more="", core=SERVER_CORE):
        self.stage, self.core = stage, core
        self.directory = stage.directory / name
        self.directory.mkdir()
        self.unix, self.inet = f"unix:{self.directory}/query.sock", f"inet:{free_port()}@127.0.0.1"
        self.control = f"unix:{self.directory}/control.sock"
        self.log, self.config = self.directory / "log", self.directory / "conf"
        self.config.write_text(CONFIG.format(unix=self.unix, inet=self.inet, control=self.control,
                                             directory=self.directory, ca=world.ca, dns=world.dns_port, https=world.https_port, more=more))

    def start(self):
        self.process = self.stage.start([self.stage.program("sts-cached"), "-f", "-c", self.config], self.core, self.log)
        wait_for(lambda: accepts(self.unix), "sts-cached does not start")
        return self

    def stats(self):
        return json.loads(self.stage.run(self.stage.program("stsctl"), "-s", self.control, "--json", "stats", core=None))

    def stop(self):
        self.stage.end(self.process)

    def forget(self):
        """Only while it is stopped."""
        shutil.rmtree(self.directory / "state", ignore_errors=True)

    def trim_log(self):
        os.truncate(self.log, 0)
