"""sendmail - Debian's Sendmail, run in the foreground with a configuration made from a .mc file.

The product's own contrib/sendmail is used as it stands; what must differ between two instances (address,
queue) is given by -O on the command line, and a site's own settings by m4's -D.
"""

import dataclasses
import pathlib
import re
import shutil
import socket
import subprocess

from lab import namespace
from lab.mta import Mta
from lab.process import Process

CF = pathlib.Path("/usr/share/sendmail/cf")


@dataclasses.dataclass
class Delivery:
    """One attempt to deliver to one recipient, as Sendmail logged it."""

    recipient: str
    dsn: str
    stat: str
    pid: str = ""
    relay: str = ""
    at: int = 0  # its line in the log

    @property
    def sent(self):
        return self.stat.startswith("Sent")

    @property
    def deferred(self):
        return self.stat.startswith("Deferred") or self.dsn.startswith("4.")


def install_cf(programs, features):
    """Puts the cf files where Debian has them, and the product's features beside the stock ones."""
    shutil.copytree(programs.sendmail_cf, CF.parent, dirs_exist_ok=True, symlinks=True)
    for file in features:
        shutil.copy(file, CF / "feature")


def greets(address):
    try:
        with socket.create_connection((address, 25), 1) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False


class Sendmail(Mta):
    """One instance: its own address and queue. `defines` become m4's -D options."""

    def __init__(self, name, mc_file, lab, address=namespace.MTA_ADDRESS, defines=None):
        self.address, self.syslog, self.programs = address, lab.syslog, lab.programs
        self.queue = pathlib.Path("/var/spool") / f"mqueue-{name}"
        self.queue.mkdir(mode=0o700)
        pathlib.Path("/var/lib/sendmail").mkdir(exist_ok=True)
        self.cf = pathlib.Path("/etc/mail") / f"{name}.cf"
        self.cf.write_text(self._make_cf(mc_file, defines or {}))
        options = [f"DaemonPortOptions=Addr={address}, Port=25", f"QueueDirectory={self.queue}",
                   f"PidFile=/run/{name}.pid", "LogLevel=14", "RefuseLA=1000", "QueueLA=1000"]
        self.command = [self.programs.sendmail, "-C", self.cf, *(f"-O{option}" for option in options)]
        self.process = Process(name, [*self.command, "-bD", "-odb"], lab.logs,
                               lambda: greets(address), self.programs.environment())

    def _make_cf(self, mc_file, defines):
        pathlib.Path("/etc/mail/local-host-names").touch()
        definitions = [f"-D{key}={value}" for key, value in {"_CF_DIR_": f"{CF}/", **defines}.items()]
        made = subprocess.run(["m4", *definitions, CF / "m4/cf.m4", mc_file], capture_output=True, text=True, check=True)
        assert not made.stderr, made.stderr
        return made.stdout

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    def run_queue(self, *queue_ids):
        """Tries these waiting messages again in one queue run; returns when it has ended."""
        in_foreground = "-v"
        subprocess.run([*self.command, in_foreground, *(f"-qI{one}" for one in queue_ids)], cwd="/", timeout=90,
                       env=self.programs.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def is_waiting(self, queue_id):
        return (self.queue / f"qf{queue_id}").exists()

    def is_held(self, queue_id):
        return (self.queue / f"hf{queue_id}").exists()

    def deliveries(self, queue_id):
        """All attempts for the message so far."""
        pattern = rf"\[(\d+)\]: {queue_id}: to=(\S+), .*?(?:relay=(\S+).*?)?dsn=([\d.]+), .*?stat=(.*)"
        found = [(number, *match.groups()) for number, line in enumerate(self.syslog.lines)
                 if (match := re.search(pattern, line))]
        return [Delivery(rcpt.strip("<>"), dsn, stat, pid, relay or "", number)
                for number, pid, rcpts, relay, dsn, stat in found for rcpt in rcpts.split(",")]

    def _said(self, delivery, pattern):
        """What its process logged between the attempt before and this one."""
        lines, mark = self.syslog.lines, f"[{delivery.pid}]: "
        before = [number for number in range(delivery.at) if mark in lines[number] and ", stat=" in lines[number]]
        return self.syslog.find(rf"\[{delivery.pid}\]: {pattern}", before[-1] if before else 0, delivery.at)

    def verify(self, delivery):
        """What Sendmail logged of the MX's certificate in that attempt: OK, FAIL, ...; empty without TLS."""
        found = self._said(delivery, r"STARTTLS=client, relay=.*?, verify=(\w+)")
        return found[-1].group(1) if found else ""

    def reason(self, delivery):
        """Why the attempt was given up, by the last rule that said so."""
        found = self._rejections(delivery)
        return found[-1].group(2).strip() if found else delivery.stat

    def code(self, delivery):
        """That of the rule, where one said no: the line of the attempt has 4.2.0 for all of them."""
        found = self._rejections(delivery)
        return (found[-1].group(1) if found else None) or delivery.dsn

    def _rejections(self, delivery):
        return self._said(delivery, r".*?ruleset=tls_(?:server|rcpt).*? reject=(?:\d+ ([\d.]+) )?(?:<.*?>\.\.\. )?(.*)")

    def log_of(self, queue_id):
        return "\n".join(match.string for match in self.syslog.find(re.escape(queue_id)))
