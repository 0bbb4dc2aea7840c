"""init - systemd itself as the first process of namespaces of its own, with units that a test gives it.

/etc is a copy there, /run and /var/lib are empty; all three are folders below `directory`, and so is /srv.
The network is the test's. Only what the units need of systemd's own is there: targets without content.
It has a control group of its own and sees no other; limits of memory and of tasks are not in force.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from lab.process import Process, wait_until

STUBS = ("lab", "sysinit", "basic", "sockets", "multi-user", "shutdown", "network-online", "nss-lookup")
ENTER = """
mount -t cgroup2 none /sys/fs/cgroup || exit
if [ ! -e /dev/pts ]; then # as in the lab
    mkdir /dev/pts && mount -t devpts none /dev/pts && ln -sf pts/ptmx /dev/ptmx || exit
fi
for name in etc run srv lib; do
    case $name in lib) to=/var/lib ;; *) to=/$name ;; esac
    mount --bind "$1/$name" $to || exit
done
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
    /lib/systemd/systemd --system --unit=lab.target --show-status=no --log-target=console
"""
ENTER_GROUP = """
echo $$ >"$1/cgroup.procs" || exit
shift
exec unshare --mount --uts --pid --ipc --cgroup --fork --kill-child --mount-proc --propagation private "$@"
"""


class Init:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.units = self.directory / "etc/systemd/system"
        shutil.copytree("/etc", self.directory / "etc", symlinks=True)
        shutil.rmtree(self.units)
        self.units.mkdir()
        for name in ("run", "lib", "srv", "groups"):
            (self.directory / name).mkdir()
        for name in STUBS:
            (self.units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")
        # Elsewhere than in memory systemd would remove no directory of a unit.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", self.directory / "run"], check=True)
        self.group = self._make_group()
        self.process = Process("systemd", ["sh", "-c", ENTER_GROUP, "sh", self.group, "sh", "-c", ENTER, "sh", self.directory],
                               self.directory, self._is_up)

    def _make_group(self):
        """Below the test's own."""
        subprocess.run(["mount", "-t", "cgroup2", "none", self.directory / "groups"], check=True)
        own = next(line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        return tempfile.mkdtemp(prefix="sts-lab-", dir=self.directory / "groups" / own.strip("/"))

    def path(self, inside):
        """Where something below /etc, /run, /var/lib or /srv is, seen from outside."""
        return self.directory / inside.strip("/").replace("var/lib", "lib")

    def start(self):
        self.process.start()
        return self

    def _is_up(self):
        return self.path("/run/systemd/private").exists() and self.systemctl("is-active", "lab.target").returncode == 0

    def stop(self):
        """The namespaces and all that is in them die with it."""
        if self.process.is_running():
            os.kill(self.pid, signal.SIGKILL)
            self.process.child.wait(20)
        for folder, _, _ in os.walk(self.group, topdown=False):
            wait_until(lambda one=folder: is_removed(one), f"{folder} stays")
        subprocess.run(["umount", self.directory / "groups", self.directory / "run"], check=True)

    @property
    def pid(self):
        """systemd's, seen from outside."""
        return int(children(self.process.child.pid)[0])

    def run(self, *words):
        """A command beside systemd, in its namespaces."""
        enter = ["nsenter", "--all", "--target", str(self.pid), "--", *map(str, words)]
        return subprocess.run(enter, capture_output=True, text=True, check=False, timeout=60)

    def systemctl(self, *words):
        return self.run("systemctl", *words)

    def order(self, *words):
        """As systemctl, and it must succeed."""
        done = self.systemctl(*words)
        assert done.returncode == 0, done.stderr + self.process.log_text()[-3000:]
        return done.stdout.strip()

    def main_pid(self, unit):
        """The daemon's process, seen from outside."""
        inside = self.order("show", "--value", "--property", "MainPID", unit)
        return next((pid for pid in map(int, descendants(self.pid)) if number_inside(pid) == inside), None)


def is_removed(group):
    """The kernel keeps it until the last process is gone."""
    try:
        os.rmdir(group)
    except OSError:
        return False
    return True


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def descendants(pid):
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def number_inside(pid):
    return status(pid, "NSpid").split()[-1]


def status(pid, key):
    """One line of /proc/PID/status."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:"))
