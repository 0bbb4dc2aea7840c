"""postfix - Debian's Postfix under its own master, with the product's contrib/postfix as it stands.

A main.cf of the lab's own says where things are; the files under test are appended to it.
"""

import dataclasses
import pathlib
import re
import shutil
import signal
import subprocess

from lab.mta import Mta
from lab.process import Process, wait_until
from lab.sendmail import greets

ADDRESS = "127.0.5.30"
QUEUE_DIRECTORIES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
                     "saved", "trace")
OPEN_DIRECTORIES = ("maildrop", "public")

MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {queue}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {root}/etc/postfix
syslog_name = {name}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
export_environment = MAIL_CONFIG LD_LIBRARY_PATH TZ
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mta.lab.test
mydestination = sender.test, mta.lab.test
local_transport = discard
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtp_tls_loglevel = 1
smtp_address_preference = ipv4
minimal_backoff_time = 3600s
maximal_backoff_time = 7200s
"""

MASTER = """\
{address}:25 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

LINE = re.compile(r"(?m)/(?P<service>\w+)\[(?P<pid>\d+)\]: (?P<id>\w+): to=<(?P<recipient>[^>]*)>, .*?relay=(?P<relay>[^,]+), "
                  r".*?dsn=(?P<dsn>[\d.]+), status=(?P<status>\w+) \((?P<stat>.*)\)$")


@dataclasses.dataclass
class Delivery:
    """One attempt to deliver to one recipient, as Postfix logged it."""

    recipient: str
    dsn: str
    status: str
    stat: str
    pid: str
    at: int  # place in the log

    @property
    def sent(self):
        return self.status == "sent"

    @property
    def deferred(self):
        return self.status == "deferred"

    @property
    def failed(self):
        return self.status == "bounced"


class Postfix(Mta):
    """One instance: its own address, queue and log. `files` are appended to main.cf, `more` after them.
    `master`: another master.cf than the lab's; `queue`: another queue directory."""

    def __init__(self, name, lab, files, address=ADDRESS, more="", master=None, queue=None):
        self.address, self.programs = address, lab.programs
        self.queue = pathlib.Path(queue or f"/var/spool/postfix-{name}")
        self.config = pathlib.Path("/etc") / f"postfix-{name}"
        self.log = lab.logs / "syslog.log"
        self._make_queue()
        self.config.mkdir()
        main = MAIN.format(queue=self.queue, root=self.programs.root, name=name)
        (self.config / "main.cf").write_text(main + "".join(file.read_text() for file in files) + more)
        (self.config / "master.cf").write_text(master or MASTER.format(address=address))
        root = self.programs.root
        self.environment = {**self.programs.environment(), "MAIL_CONFIG": str(self.config)}
        self.environment["LD_LIBRARY_PATH"] += f":{root}/usr/lib/postfix"
        self.process = Process(name, ["setsid", root / "usr/lib/postfix/sbin/master", "-d", "-c", self.config], lab.logs,
                               lambda: greets(address), self.environment)

    def _make_queue(self):
        self.queue.mkdir()
        for name in (*QUEUE_DIRECTORIES, *OPEN_DIRECTORIES, "data"):
            (self.queue / name).mkdir(mode=0o700)
            shutil.chown(self.queue / name, "postfix", "postdrop" if name in OPEN_DIRECTORIES else None)
        (self.queue / "pid").mkdir()
        (self.queue / "public").chmod(0o710)
        (self.queue / "maildrop").chmod(0o1730)

    def fill_chroot(self):
        """Puts into the queue directory what programs need there, by Debian's own script."""
        path = f"{self.programs.root / 'usr/sbin'}:{self.programs.root / 'usr/bin'}:{self.environment['PATH']}"
        script = self.programs.root / "usr/lib/postfix/configure-instance.sh"
        subprocess.run(["sh", "-e", script, "-"], env={**self.environment, "PATH": path}, check=True, timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def start(self):
        self.process.start()
        return self

    def stop(self):
        """master ends its services with its own process group."""
        if self.process.is_running():
            self.process.stop(signal.SIGTERM)

    def run(self, program, *words, seconds=60):
        """One of Postfix' commands with this instance's configuration."""
        return subprocess.run([self.programs.root / "usr/sbin" / program, "-c", self.config, *words], cwd="/",
                              timeout=seconds, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)

    def run_queue(self, *queue_ids):
        """Tries these waiting messages again; returns when each had its attempt."""
        before = {one: len(self.deliveries(one)) for one in queue_ids}
        for one in queue_ids:
            self.run("postqueue", "-i", one)
        wait_until(lambda: all(len(self.deliveries(one)) > count for one, count in before.items()),
                   lambda: "no attempt:\n" + "\n".join(map(self.log_of, queue_ids)), 60)

    def is_waiting(self, queue_id):
        return any(list((self.queue / name).glob(f"**/{queue_id}")) for name in ("active", "deferred", "incoming"))

    def is_held(self, queue_id):
        return bool(list((self.queue / "hold").glob(f"**/{queue_id}")))

    def log_text(self):
        return self.log.read_text(errors="replace")

    def deliveries(self, queue_id):
        """All attempts for the message so far."""
        return [Delivery(one["recipient"], one["dsn"], one["status"], one["stat"], one["pid"], one.start())
                for one in LINE.finditer(self.log_text()) if one["id"] == queue_id]

    def verify(self, delivery):
        """What Postfix logged of the MX's certificate last before that attempt ended: OK, FAIL; empty without TLS."""
        found = re.findall(rf"\[{delivery.pid}\]: (\w+) TLS connection established to", self.log_text()[:delivery.at])
        return {"Verified": "OK"}.get(found[-1], "FAIL") if found else ""
