"""daemons - sts-cached, sts-milter and stsctl of the build under test, on their default paths."""

import json
import os
import pathlib
import signal
import socket
import subprocess

from lab import sanitizer
from lab.process import Process

QUERY_SOCKET = "/run/sts-cached/query.sock"
CONTROL_SOCKET = "/run/sts-cached/control.sock"
MILTER_SOCKET = "/run/sts-milter/milter.sock"
STATE = "/var/lib/sts-cached"
REPORTS = "/run/lab/reports"

# The only settings that differ from the defaults: the policy host is on a loopback address, and the
# milter waits long enough for a first fetch by a slow sanitized build on a busy machine.
CACHED_CONFIG = """\
user = "sts-cached"
fetch { allow-address = { "127.0.0.0/8" } }
"""
MILTER_CONFIG = """\
user = "sts-milter"
wait = "4s"
processes = 2
socket-group = "postfix"
"""


def program(build, name):
    """Where the build has put it: at its top or in a folder."""
    return next(path for path in (build / name, build / "cached" / name, build / "milter" / name) if path.is_file())


def accepts(path):
    """True when something listens on the unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
            return True
        except OSError:
            return False


def prepare_directories():
    for path, owner in (("/run/sts-cached", "sts-cached"), (STATE, "sts-cached"), ("/run/sts-milter", "sts-milter")):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", f"{owner}:{owner}", path], check=True)
        os.chmod(path, 0o755)


class Daemons:
    def __init__(self, build, directory, logs):
        build, directory = pathlib.Path(build), pathlib.Path(directory)
        directory.mkdir(parents=True)
        prepare_directories()
        self.cached_conf, self.milter_conf = directory / "sts-cached.conf", directory / "sts-milter.conf"
        self.configure_cached("")
        self.configure_milter("")
        self.stsctl_program = program(build, "stsctl")
        env = sanitizer_environment()
        self.cached = Process("sts-cached", [program(build, "sts-cached"), "-f", "-c", self.cached_conf], logs,
                              lambda: accepts(QUERY_SOCKET) and accepts(CONTROL_SOCKET), env)
        self.milter = Process("sts-milter", [program(build, "sts-milter"), "-f", "-c", self.milter_conf], logs,
                              lambda: accepts(MILTER_SOCKET), env)

    def configure_cached(self, more):
        """What sts-cached reads at its next start: the lab's settings and these lines."""
        self.cached_conf.write_text(CACHED_CONFIG + more)

    def configure_milter(self, more):
        """The same for sts-milter."""
        self.milter_conf.write_text(MILTER_CONFIG + more)

    def start(self):
        self.cached.start()
        self.milter.start()
        return self

    def stop(self):
        """Both must end well on SIGTERM. Returns the exit statuses of those that ran."""
        return {daemon.name: daemon.stop(signal.SIGTERM) for daemon in (self.milter, self.cached)
                if daemon.is_running()}

    def stsctl(self, *words):
        """Runs stsctl and returns its CompletedProcess."""
        return subprocess.run([self.stsctl_program, *words], capture_output=True, text=True, check=False, timeout=60)

    def query(self, domain):
        """The verdict on `domain`, as stsctl prints it with --json."""
        return json.loads(self.stsctl("query", "--json", domain).stdout)

    def verdict(self, domain):
        """Verdict and reason."""
        answer = self.query(domain)
        return answer["verdict"], answer["reason"]


def sanitizer_environment():
    """A report of a sanitized build ends the program and is kept as a file below REPORTS."""
    os.makedirs(REPORTS, exist_ok=True)
    os.chmod(REPORTS, 0o1777)  # they are written as the daemons' own users
    options = f"halt_on_error=1:abort_on_error=1:print_stacktrace=1:log_path={REPORTS}/sanitizer"
    return {**os.environ, "ASAN_OPTIONS": options, "UBSAN_OPTIONS": options,
            "TSAN_OPTIONS": f"{options}:{sanitizer.TSAN_OPTIONS}"}


def sanitizer_reports():
    texts = [file.read_text(errors="replace") for file in pathlib.Path(REPORTS).glob("*")]
    return [text for text in texts if sanitizer.reports(text)]
