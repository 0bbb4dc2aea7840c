"""internet - DNS, policy hosts, certificates and one real sts-cached that believes in them.

`publish` puts a domain's MTA-STS, policy host and MX into it; every test uses domains of its own, so
that all of them share one daemon.
"""

import os
import pathlib
import signal
import socket
import subprocess
import time

from lab.certs import CertificateAuthority, openssl
from vectors.asker import Asker, verdict_fields
from vectors.dnsserver import DnsServer, address, mx, txt
from vectors.policyserver import Host, PolicyServer, http

BUILD = pathlib.Path(os.environ.get("STS_BUILD_DIR") or os.environ.get("STS_LAB_BUILD") or
                     pathlib.Path(__file__).resolve().parents[3])
ANSWER_DEADLINE, FETCH_TIMEOUT, DNS_TIMEOUT = 4, 5, 1
CERTIFIED = 1200
TOP = "vectors.test"
GOOD_RECORD = "v=STSv1; id=1;"
SANITIZER_MARKS = ("AddressSanitizer", "runtime error", "LeakSanitizer", "ThreadSanitizer")


def policy(mode="enforce", mx_hosts=("mx.DOMAIN",), max_age="86400", end="\n"):
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in mx_hosts), f"max_age: {max_age}"]
    return end.join(lines) + end


def find_program(name):
    """Built programs lie in the top of the build directory or in their folder."""
    for path in (BUILD / name, BUILD / "cached" / name):
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not built in {BUILD}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Certificates(CertificateAuthority):
    """The lab's CA, and what only a hostile or careless one issues."""

    def issue_later(self, label, dns_name):
        """Valid from 2090 on."""
        base = self.directory / label
        config = base.with_suffix(".cnf")
        config.write_text("[ca]\ndefault_ca=d\n[d]\ndatabase={0}.db\nnew_certs_dir={1}\nrand_serial=yes\n"
                          "default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n"
                          "[x]\nsubjectAltName=DNS:{2}\n".format(base, self.directory, dns_name))
        pathlib.Path(f"{base}.db").touch()
        openssl("req", "-new", "-key", self.leaf_key, "-subj", "/CN=later", "-out", base.with_suffix(".csr"))
        openssl("ca", "-batch", "-config", config, "-cert", self.file, "-keyfile", self.key, "-notext", "-startdate",
                "20900101000000Z", "-enddate", "20910101000000Z", "-in", base.with_suffix(".csr"), "-out",
                f"{base}.crt")
        out = base.with_suffix(".pem")
        out.write_text(pathlib.Path(f"{base}.crt").read_text() + self.leaf_key.read_text())
        return out


class Internet:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.certificates = Certificates(self.directory / "certificates")
        names = [f"mta-sts.d{n}.{TOP}" for n in range(CERTIFIED)]
        self.dns = DnsServer()
        self.policy_hosts = PolicyServer(self.certificates.issue("all", names))
        self.daemon = Daemon(self.directory, self.dns.port, self.policy_hosts.port, self.certificates.file)
        self.used = 0

    def stop(self):
        self.policy_hosts.stop()
        self.dns.stop()

    def new_domain(self):
        """A domain that nobody has asked about, and for whose policy host there is a certificate."""
        self.used += 1
        assert self.used <= CERTIFIED
        return f"d{self.used - 1}.{TOP}"

    def publish(self, domain, records=(GOOD_RECORD,), body=None, host=None, mx_hosts=("mx.DOMAIN",), **options):
        """`records`: one text or a tuple of strings each; DOMAIN stands for the domain everywhere.
        Returns the Host, whose `requests` tell what was asked of it."""
        body = policy() if body is None else body
        body = body.encode() if isinstance(body, str) else body
        host = host or Host(http(body.replace(b"DOMAIN", domain.encode()), **options))
        self.dns.put(f"_mta-sts.{domain}", "TXT",
                     *(txt(*(record if isinstance(record, tuple) else (record,))) for record in records))
        self.dns.put(f"mta-sts.{domain}", "A", address("127.0.0.1"))
        self.dns.put(domain, "MX", *(mx(10 + n, name.replace("DOMAIN", domain)) for n, name in enumerate(mx_hosts)))
        self.policy_hosts.hosts[f"mta-sts.{domain}"] = host
        return host

    def ask(self, request):
        with Asker(self.daemon.query_socket) as asker:
            return asker.ask(request)

    def verdict(self, key):
        return verdict_fields(self.ask(f"verdict {key}"))


class Daemon:
    """One sts-cached with its own configuration and state; runs in the foreground, log in a file."""

    def __init__(self, directory, dns_port, fetch_port, ca_file):
        self.directory = pathlib.Path(directory)
        self.query_socket, self.control_socket = self.directory / "query.sock", self.directory / "control.sock"
        self.config, self.log = self.directory / "sts-cached.conf", self.directory / "sts-cached.log"
        self.state = self.directory / "state"
        self.state.mkdir(exist_ok=True)
        self.values = {"dns_ports": [dns_port], "fetch_port": fetch_port, "ca_file": ca_file, "query_port": free_port(),
                       "dns_timeout": DNS_TIMEOUT, "more": ""}
        self.process, self.environment = None, {}

    def write_config(self, **changes):
        values = {**self.values, **changes}
        servers = ", ".join(f'"inet:{port}@127.0.0.1"' for port in values["dns_ports"])
        self.config.write_text(f"""\
listen = {{ "unix:{self.query_socket}", "inet:{values['query_port']}@127.0.0.1" }}
control = "unix:{self.control_socket}"
state-directory = "{self.state}"
answer-deadline = "{ANSWER_DEADLINE}s"
dns {{ servers = {{ {servers} }}  timeout = "{values['dns_timeout']}s" }}
fetch {{ port = {values['fetch_port']}  ca-file = "{values['ca_file']}"  timeout = "{FETCH_TIMEOUT}s"
         allow-address = {{ "127.0.0.0/8" }} }}
{values['more']}
""")

    def _spawn(self):
        self.write_config()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([find_program("sts-cached"), "-f", "-c", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})

    def start_at_once(self):
        """Returns in the very moment when the first socket is there, whatever else is not."""
        self._spawn()
        until = time.monotonic() + 20
        while not self.query_socket.exists():
            assert time.monotonic() < until, self.log_text()

    def start(self):
        self._spawn()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                Asker(self.query_socket).socket.close()
                return self
            except OSError:
                assert self.process.poll() is None, self.log_text()
                time.sleep(0.02)
        raise AssertionError("sts-cached does not listen: " + self.log_text())

    def log_text(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it as an init system does; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def check_log(self):
        text = self.log_text()
        found = [mark for mark in SANITIZER_MARKS if mark in text]
        assert not found, text[-5000:]

    def stsctl(self, *words):
        return subprocess.run([find_program("stsctl"), "-s", f"unix:{self.control_socket}", *words],
                              capture_output=True, text=True, check=False, timeout=60)
