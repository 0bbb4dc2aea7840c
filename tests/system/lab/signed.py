"""signed - a second unbound beside the lab's own: it validates, and the world it serves is signed.

All that the lab's DNS knows is taken over when it starts, signed as one zone, the root, whose key is
the trust anchor. Below plain.test nothing is signed. A record can be forged: what it says is changed
after it was signed. The world stands still from then on.
"""

import hashlib
import pathlib
import shutil
import subprocess

from lab.dns import CONFIG, SOA, Dns

ADDRESS = "127.0.5.54"
PLAIN = "plain.test"
VALIDATING = """\
server:
  trust-anchor-file: "{key}"
  val-log-level: 2
auth-zone:
  name: "{plain}."
  zonefile: "{directory}/plain.zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
RESOLV_CONF = pathlib.Path("/etc/resolv.conf")


def digest_of_key(certificate):
    """What a TLSA record 3 1 1 says of it."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    return hashlib.sha256(der).hexdigest()


def is_plain(name):
    return name == PLAIN or name.endswith(f".{PLAIN}")


class SignedDns(Dns):
    """Records are set by change() before it starts."""

    def __init__(self, directory, base, logs):
        self.forged = {}  # (name, type) -> (what is signed, what is served)
        super().__init__(directory, base.programs, logs)
        self.records.update({key: list(values) for key, values in base.records.items()})
        self.process.name, self.process.log = "unbound-signed", pathlib.Path(logs) / "unbound-signed.log"
        self.key = self.directory / self._tool("ldns-keygen", "-a", "ECDSAP256SHA256", ".").strip()
        self.config.write_text(CONFIG.format(directory=self.directory, address=ADDRESS)
                               .replace('"iterator"', '"validator iterator"')
                               + VALIDATING.format(directory=self.directory, key=f"{self.key}.key", plain=PLAIN))

    def forge(self, name, kind, signed, served):
        self.change({(name, kind): [signed]})
        self.forged[name, kind] = signed, served

    def change(self, changes, ttl=60):
        for (name, kind), values in changes.items():
            self.records[name.rstrip("."), kind] = [(value, ttl) for value in values]

    def start(self):
        self._write_zone()
        self.process.start()
        shutil.copy(RESOLV_CONF, self.directory / "resolv.conf")
        RESOLV_CONF.write_text(f"nameserver {ADDRESS}\noptions trust-ad\n")
        return self

    def stop(self):
        if self.process.is_running():
            RESOLV_CONF.write_text((self.directory / "resolv.conf").read_text())
        super().stop()

    def _tool(self, name, *words):
        return subprocess.run([self.programs.root / "usr/bin" / name, *words], env=self.programs.environment(),
                              cwd=self.directory, capture_output=True, text=True, check=True).stdout

    def _lines(self, wanted):
        return [f"{name}. {ttl} IN {kind} {text}\n" for (name, kind), values in self.records.items() if wanted(name)
                for text, ttl in (value if isinstance(value, tuple) else (value, 60) for value in values)]

    def _write_zone(self):
        if not hasattr(self, "key"):
            return  # our own start writes it
        soa = SOA.format(serial=1)
        (self.directory / "plain.zone").write_text(soa.replace(". 60", f"{PLAIN}. 60") + "".join(self._lines(is_plain)))
        names = {name for (name, _), values in self.records.items() if values and not is_plain(name)}
        parents = {name.split(".", depth)[-1] for name in names for depth in range(1, name.count(".") + 1)}
        # Its proofs of absence know no names without a record of their own.
        empty = [f'{name}. 60 IN TXT "here"\n' for name in sorted(parents - names)]
        zone = self.directory / "unsigned.zone"
        zone.write_text("".join([soa, f"{PLAIN}. 60 IN NS ns.lab.test.\n", *empty, *self._lines(lambda name: not is_plain(name))]))
        self._tool("ldns-signzone", "-o", ".", "-f", self.directory / "signed.zone", zone, self.key)
        (self.directory / "root.zone").write_text("".join(map(self._served, (self.directory / "signed.zone").open())))

    def _served(self, line):
        name, _, _, kind, value = line.rstrip("\n").split("\t", 4) if line.count("\t") >= 4 else (line, "", "", "", "")
        signed, served = self.forged.get((name.rstrip("."), kind), (None, None))
        return line.replace(signed, served) if signed and value.strip() == signed else line
