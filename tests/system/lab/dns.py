"""dns - one unbound that owns the root zone, so that every name in the world is ours.

Records change at run time: the zone file is written anew and reloaded before change() returns. A name
can be made to answer SERVFAIL (a loop of CNAMEs, as a broken domain has it) or not at all.
"""

import collections
import contextlib
import pathlib
import subprocess

from lab import namespace
from lab.process import Process

CONFIG = """\
server:
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  interface: {address}
  access-control: 127.0.0.0/8 allow
  do-ip6: no
  num-threads: 1
  module-config: "iterator"
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  do-not-query-localhost: no
  local-zone: "test." nodefault
remote-control:
  control-enable: yes
  control-interface: {directory}/control.sock
  control-use-cert: no
auth-zone:
  name: "."
  zonefile: "{directory}/root.zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
SOA = ". 60 IN SOA ns.lab.test. root.lab.test. {serial} 3600 600 86400 60\n. 60 IN NS ns.lab.test.\n"


class Dns:
    def __init__(self, directory, programs, logs):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.programs = programs
        self.records = collections.defaultdict(list)  # (name, type) -> values
        self.serial, self.is_held = 0, False
        self.config = self.directory / "unbound.conf"
        self.config.write_text(CONFIG.format(directory=self.directory, address=namespace.DNS_ADDRESS))
        self.records["ns.lab.test", "A"] = [namespace.DNS_ADDRESS]
        self._write_zone()
        self.process = Process("unbound", [programs.unbound, "-d", "-c", self.config], logs,
                               self._is_up, programs.environment())

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    def change(self, changes, ttl=60):
        """Sets records: {(name, type): [values]}; an empty list takes the record away."""
        for (name, kind), values in changes.items():
            self.records[name.rstrip("."), kind] = [(value, ttl) for value in values]
        self._reload()

    @contextlib.contextmanager
    def held(self):
        """All changes made meanwhile take effect together, at the end."""
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False
            self._reload()

    def set_txt(self, name, *texts):
        self.change({(name, "TXT"): [f'"{text}"' for text in texts]})

    def servfail(self, name):
        """From now on every question for `name` is answered SERVFAIL."""
        self.change({(name, "CNAME"): [f"loop1.{name}."], (f"loop1.{name}", "CNAME"): [f"loop2.{name}."],
                     (f"loop2.{name}", "CNAME"): [f"loop1.{name}."]})

    def silence(self, name):
        """From now on questions for `name` get no answer."""
        self._control("local_zone", name, "always_deny")

    def _is_up(self):
        return subprocess.run(self._control_command("status"), env=self.programs.environment(),
                              capture_output=True, check=False).returncode == 0

    def _control_command(self, *words):
        return [self.programs.unbound_control, "-c", self.config, *words]

    def _control(self, *words):
        subprocess.run(self._control_command(*words), env=self.programs.environment(),
                       capture_output=True, check=True)

    def _reload(self):
        if self.is_held:
            return
        self._write_zone()
        self._control("auth_zone_reload", ".")
        self._control("flush_zone", ".")

    def _write_zone(self):
        self.serial += 1
        lines = [SOA.format(serial=self.serial)]
        for (name, kind), values in self.records.items():
            if kind != "CNAME" and self.records.get((name, "CNAME")):
                continue  # a CNAME stands alone
            for value in values:
                text, ttl = value if isinstance(value, tuple) else (value, 60)
                lines.append(f"{name}. {ttl} IN {kind} {text}\n")
        (self.directory / "root.zone").write_text("".join(lines))
