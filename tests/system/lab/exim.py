"""exim - Debian's Exim, run in the foreground with the product's contrib/exim as it stands.

What must differ between two instances is set in a file of a few lines that includes the sample.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from lab.mta import Mta
from lab.process import Process
from lab.sendmail import greets

CONFIG = pathlib.Path("/etc/exim4")
ADDRESS = "127.0.5.26"

SITE = """\
primary_hostname = mta.lab.test
local_interfaces = {address}
exim_path = {exim}
spool_directory = {spool}
log_file_path = {spool}/%slog
pid_file_path = {spool}/exim.pid
KEEP_ENVIRONMENT = LD_LIBRARY_PATH
{macros}
.include {sample}
"""

LINE = re.compile(r"^\S+ \S+ (?P<id>\S+) (?P<mark>=>|->|==|\*\*) (?P<recipient>\S+?):? (?P<stat>.*)$", re.MULTILINE)


@dataclasses.dataclass
class Delivery:
    """One attempt to deliver to one recipient, as Exim logged it."""

    recipient: str
    mark: str
    stat: str

    @property
    def sent(self):
        return self.mark in ("=>", "->")

    @property
    def deferred(self):
        return self.mark == "=="

    @property
    def failed(self):
        return self.mark == "**"

    @property
    def dsn(self):
        """The enhanced code in Exim's text, or the class of the outcome."""
        found = re.search(r"\b[245]\.\d{1,3}\.\d{1,3}\b(?!\.)", "" if self.sent else self.stat)
        return found.group() if found else {"==": "4.0.0", "**": "5.0.0"}.get(self.mark, "2.0.0")


def install(files):
    """Puts the product's pieces where its sample looks for them."""
    CONFIG.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, CONFIG)


class Exim(Mta):
    """One instance: its own address, queue and logs. `macros` are the sample's settings."""

    def __init__(self, name, lab, address=ADDRESS, macros=None, sample=CONFIG / "exim.conf"):
        self.address, self.programs = address, lab.programs
        self.spool = pathlib.Path("/var/spool") / f"exim-{name}"
        self.spool.mkdir()
        shutil.chown(self.spool, "Debian-exim", "Debian-exim")
        self.conf = CONFIG / f"{name}-lab.conf"
        self.conf.write_text(SITE.format(address=address, exim=self.programs.exim, spool=self.spool, sample=sample,
                                         macros="\n".join(f"{key} = {value}" for key, value in (macros or {}).items())))
        self.command = [self.programs.exim, "-C", self.conf]
        self.process = Process(name, [*self.command, "-bdf"], lab.logs, lambda: greets(address),
                               self.programs.environment())
        self.mainlog, self.kept_log = self.spool / "mainlog", lab.logs / f"{name}-mainlog.log"

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()
        if self.mainlog.exists():
            shutil.copy(self.mainlog, self.kept_log)

    def run(self, *words, seconds=90):
        """Runs Exim with this instance's configuration to its end; returns the CompletedProcess."""
        return subprocess.run([*self.command, *words], cwd="/", timeout=seconds, env=self.programs.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def run_queue(self, *queue_ids):
        """Tries these waiting messages again, one after the other, whatever their retry times."""
        for queue_id in queue_ids:
            self.run("-M", queue_id)

    def run_whole_queue(self):
        """One ordinary queue run: retry times count."""
        self.run("-q")

    def is_waiting(self, queue_id):
        return bool(list(self.spool.glob(f"input/**/{queue_id}-H")))

    def log_text(self):
        return self.mainlog.read_text(errors="replace") if self.mainlog.exists() else ""

    def deliveries(self, queue_id):
        """All attempts for the message so far."""
        return [Delivery(one["recipient"], one["mark"], one["stat"]) for one in LINE.finditer(self.log_text())
                if one["id"] == queue_id]

    def code(self, delivery):
        return "" if delivery.dsn == "4.0.0" else delivery.dsn

    def verify(self, delivery):
        """What Exim logged of the MX's certificate in that attempt: OK or FAIL; empty without TLS."""
        found = re.search(r" CV=(\w+)", delivery.stat)
        return {"yes": "OK", "dane": "OK"}.get(found.group(1), "FAIL") if found else ""
