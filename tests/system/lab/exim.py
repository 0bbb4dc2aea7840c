"""exim - Debian's Exim, run in the foreground with the product's contrib/exim as it stands.

What must differ between two instances is set in a file of a few lines that includes the sample.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from lab import namespace
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

# What Debian asks at installation, for a host that sends and receives by itself.
DEBCONF = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='sender.test;mta.lab.test'
dc_local_interfaces='{address}'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='true'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""

# The lab's MX hosts have addresses to which Debian's configuration does not send mail.
DEBIAN_SITE = """\
SPOOLDIR = {spool}
MAIN_KEEP_ENVIRONMENT = LD_LIBRARY_PATH
ROUTER_DNSLOOKUP_IGNORE_TARGET_HOSTS = <; 0.0.0.0
log_file_path = {spool}/%slog
pid_file_path = {spool}/exim.pid
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
        self.conf = self._write_conf(name, macros or {}, sample)
        self.command = [self.programs.exim, "-C", self.conf]
        self.process = Process(name, [*self.command, "-bdf"], lab.logs, lambda: greets(address),
                               self.programs.environment())
        self.mainlog, self.kept_log = self.spool / "mainlog", lab.logs / f"{name}-mainlog.log"

    def _write_conf(self, name, macros, sample):
        """Returns its configuration file."""
        conf = CONFIG / f"{name}-lab.conf"
        conf.write_text(SITE.format(address=self.address, exim=self.programs.exim, spool=self.spool, sample=sample,
                                    macros="\n".join(f"{key} = {value}" for key, value in macros.items())))
        return conf

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


class DebianExim(Exim):
    """One with Debian's split configuration and its update-exim4.conf, both unchanged. `commands` are run
    first, to put the product's parts there; `macros` are a file of the lab's among them."""

    def __init__(self, name, lab, address, commands, folder):
        self.commands, self.folder = commands, folder
        super().__init__(name, lab, address)

    def _write_conf(self, name, macros, sample):
        shutil.copytree(self.programs.exim_config, CONFIG, dirs_exist_ok=True, symlinks=True)
        namespace.cover_directory("/usr/sbin")  # where the configuration says that Exim is
        pathlib.Path("/usr/sbin/exim4").symlink_to(self.programs.exim)
        pathlib.Path("/etc/mailname").write_text("mta.lab.test\n")
        (CONFIG / "update-exim4.conf.conf").write_text(DEBCONF.format(address=self.address))
        (CONFIG / "conf.d/main/000_lab").write_text(DEBIAN_SITE.format(spool=self.spool))
        pathlib.Path("/var/lib/exim4").mkdir(exist_ok=True)
        subprocess.run(["sh", "-e", "-c", self.commands], cwd=self.folder, check=True, timeout=60)
        self.update()
        return pathlib.Path("/var/lib/exim4/config.autogenerated")

    def update(self):
        """Debian's program; it checks what it has made."""
        made = subprocess.run(["sh", self.programs.root / "usr/sbin/update-exim4.conf"], env=self.programs.environment(),
                              timeout=60, check=True, capture_output=True, text=True)
        assert not made.stderr, made.stderr
