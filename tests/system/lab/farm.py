"""farm - some real sts-cached that share one Redis, and the world that they ask.

Each node has its own host name, sockets, state directory and configuration. All policies come from one
policy host that counts fetches (vectors/policyserver.py), all records from one DNS (vectors/dnsserver.py).
"""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import time

from lab.certs import CertificateAuthority
from lab.daemons import accepts, program
from lab.process import Process, wait_until
from lab.proxy import Proxy
from lab.redis import MASTER_NAME, RedisServer, Sentinel
from lab.sanitizer import TSAN_OPTIONS
from vectors.asker import Asker, verdict_fields
from vectors.dnsserver import DnsServer, address, mx, txt
from vectors.internet import BUILD, policy
from vectors.policyserver import Host, PolicyServer, http

TOP = "farm.test"
ANSWER_DEADLINE = 4
NAMES_A_CERTIFICATE = 50
KEY = "5f" * 32
REDIS_ADDRESS, REPLICA_ADDRESS, PROXY_ADDRESS = "127.0.6.11", "127.0.6.12", "127.0.6.5"
SENTINEL_ADDRESSES = ["127.0.6.21", "127.0.6.22", "127.0.6.23"]
PROXY_PORT = 6380


class Sources:
    """DNS and the policy host."""

    def __init__(self, directory):
        self.certificates = CertificateAuthority(directory / "certificates")
        self.dns = DnsServer()
        self.policies = PolicyServer(self.certificates.issue("default", [f"mta-sts.{TOP}"]))
        self.counter, self.batches = itertools.count(), {}

    def stop(self):
        self.policies.stop()
        self.dns.stop()

    def _certificate(self, number):
        """One certificate for each fifty domains."""
        batch = number // NAMES_A_CERTIFICATE
        if batch not in self.batches:
            first = batch * NAMES_A_CERTIFICATE
            names = [f"mta-sts.f{n}.{TOP}" for n in range(first, first + NAMES_A_CERTIFICATE)]
            self.batches[batch] = self.certificates.issue(f"batch{batch}", names)
        return self.batches[batch]

    def new_domain(self, serial=1, mode="enforce", **options):
        """A domain that nobody has asked about, with a policy. `options`: of publish."""
        number = next(self.counter)
        name = f"f{number}.{TOP}"
        self.policies.hosts[f"mta-sts.{name}"] = Host(certificate=self._certificate(number))
        for kind in ("A", "AAAA"):
            self.dns.put(f"mta-sts.{name}", kind, *([address("127.0.0.1")] if kind == "A" else []))
        self.publish(name, serial, mode, **options)
        return name

    def new_domains(self, count):
        return [self.new_domain() for _ in range(count)]

    def plain_domain(self):
        """One without a record."""
        name = f"p{next(self.counter)}.{TOP}"
        self.dns.put(name, "MX", mx(10, f"mx.{name}"))
        return name

    def publish(self, name, serial, mode="enforce", hosts=None, max_age=86400):
        """A policy under a new id; `hosts` are its mx lines, by default the domain's MX."""
        host = self.policies.hosts[f"mta-sts.{name}"]
        host.raw = http(policy(mode, hosts or [f"mx.{name}"], max_age).encode())
        self.dns.put(f"_mta-sts.{name}", "TXT", txt(f"v=STSv1; id=serial{serial};"))
        self.dns.put(name, "MX", mx(10, f"mx.{name}"))

    def host(self, name):
        return self.policies.hosts[f"mta-sts.{name}"]

    def fetches(self, name):
        return len(self.host(name).requests)


class Node:
    """One sts-cached of the farm."""

    def __init__(self, number, farm, redis_config=None, key=KEY):
        self.number, self.farm, self.redis_config = number, farm, redis_config
        self.directory = farm.directory / f"node{number}"
        self.state = self.directory / "state"
        self.state.mkdir(parents=True)
        self.query_socket, self.control_socket = self.directory / "query.sock", self.directory / "control.sock"
        self.config, self.key_file = self.directory / "sts-cached.conf", self.directory / "farm.key"
        self.process = Process(f"node{number}", [], farm.directory, self._is_ready, farm.environment())
        self.stsctl_program = program(BUILD, "stsctl")
        self.is_hurt, self.hurts = False, 0  # hung or killed by a test: it owes no answer
        self.set_keys(key)

    def set_keys(self, *keys):
        self.key_file.write_text("".join(f"{key}\n" for key in keys))
        self.key_file.chmod(0o600)

    def _is_ready(self):
        return accepts(str(self.query_socket)) and accepts(str(self.control_socket))

    def write_config(self):
        sources, redis = self.farm.sources, self.redis_config or self.farm.redis_config()
        self.config.write_text(f"""\
listen = {{ "unix:{self.query_socket}", "inet:8461@127.0.7.{self.number}" }}
control = "unix:{self.control_socket}"
state-directory = "{self.state}"
answer-deadline = "{ANSWER_DEADLINE}s"
dns {{ servers = {{ "inet:{sources.dns.port}@127.0.0.1" }} }}
fetch {{ port = {sources.policies.port}  ca-file = "{sources.certificates.file}"
         allow-address = {{ "127.0.0.0/8" }} }}
redis {{ {redis}  prefix = "sts:"  key-file = "{self.key_file}" }}
""")

    def start(self):
        self.write_config()
        self.process.argv = ["unshare", "--uts", "sh", "-c", f"echo node{self.number} >/proc/sys/kernel/hostname; "
                             'exec "$@"', "sh", str(program(BUILD, "sts-cached")), "-f", "-c", str(self.config)]
        self.process.start()
        self.is_hurt = False
        return self

    def stop(self):
        """Ends it as an init system does; returns the exit status."""
        self.resume()
        return self.process.stop(signal.SIGTERM)

    def _hurt(self):
        self.stsctl_program = program(BUILD, "stsctl")
        self.is_hurt, self.hurts = True, self.hurts + 1

    def end(self):
        """As stop, of a node that owes no answer meanwhile."""
        self._hurt()
        return self.process.stop(signal.SIGTERM)

    def kill(self):
        self._hurt()
        self.process.stop(signal.SIGKILL)

    def hang(self):
        self._hurt()
        self.process.child.send_signal(signal.SIGSTOP)

    def resume(self):
        if self.process.is_running():
            self.process.child.send_signal(signal.SIGCONT)
        self.is_hurt = False

    def forget(self):
        """What it has on disk goes; it must not run."""
        subprocess.run(["rm", "-rf", self.state], check=True)
        self.state.mkdir()

    def asker(self):
        return Asker(self.query_socket)

    def ask(self, request):
        with self.asker() as asker:
            return asker.ask(request)

    def verdict(self, domain):
        return verdict_fields(self.ask(f"verdict {domain}"))

    def verdicts(self, domains):
        """Asks all at once and returns the answers by domain."""
        with self.asker() as asker:
            for domain in domains:
                asker.send(f"verdict {domain}")
            return {domain: verdict_fields(asker.receive()) for domain in domains}

    def stsctl(self, *words, timeout=60):
        return subprocess.run([self.stsctl_program, "-s", f"unix:{self.control_socket}", *words],
                              capture_output=True, text=True, check=False, timeout=timeout)

    def json(self, *words):
        """What a command tells with --json."""
        result = self.stsctl("--json", *words)
        assert result.stdout, result.stderr
        return json.loads(result.stdout)

    def stat(self, name):
        return self.json("stats")[name]

    def held(self):
        """The domains whose policies it holds."""
        return {line.split()[0] for line in self.stsctl("list").stdout.splitlines()}

    def holds(self, domain):
        return self.stsctl("show", domain).returncode == 0

    def name(self):
        """What it is called in the registry."""
        return next(node["name"] for node in self.json("nodes")["nodes"] if node.get("self"))

    def log_text(self):
        return self.process.log_text()


class Farm:
    """`sentinels`: a replica and three Sentinels; `proxy`: the nodes reach Redis through .proxy;
    `cable`: Redis is behind it (lab/network.py)."""

    def __init__(self, directory, nodes=3, sentinels=False, proxy=False, cable=None):
        self.directory = pathlib.Path(directory)
        self.sources = Sources(self.directory)
        self.redis = RedisServer("redis", self.directory, cable.address if cable else REDIS_ADDRESS,
                                 enter=cable.enter if cable else ())
        self.proxy = Proxy(PROXY_ADDRESS, PROXY_PORT, self.redis) if proxy else None
        self.replica, self.sentinels = None, []
        if sentinels:
            self.replica = RedisServer("replica", self.directory, REPLICA_ADDRESS)
            self.sentinels = [Sentinel(f"sentinel{n}", self.directory, one, self.redis, 2)
                              for n, one in enumerate(SENTINEL_ADDRESSES)]
        self.nodes = [Node(n + 1, self) for n in range(nodes)]

    def environment(self):
        """A report of a sanitized build ends the program and is kept as a file."""
        options = f"halt_on_error=1:abort_on_error=1:print_stacktrace=1:log_path={self.directory}/sanitizer"
        return {**os.environ, "ASAN_OPTIONS": options, "UBSAN_OPTIONS": options,
                "TSAN_OPTIONS": f"{options}:{TSAN_OPTIONS}"}

    def redis_config(self):
        if self.sentinels:
            places = ", ".join(f'"inet:{one.port}@{one.address}"' for one in self.sentinels)
            return f'sentinels = {{ {places} }}  master-name = "{MASTER_NAME}"'
        address, port = self.proxy.place if self.proxy else (self.redis.address, self.redis.port)
        return f'server = "inet:{port}@{address}"'

    def start(self):
        self.redis.start()
        if self.sentinels:
            self.replica.start()
            self.replica.follow(self.redis)
            self.redis.wait_for_replica()
            for sentinel in self.sentinels:
                sentinel.start()
            wait_until(lambda: all(one.sees(1, len(self.sentinels) - 1) for one in self.sentinels),
                       "the Sentinels do not find each other", 30)
        for node in self.nodes:
            node.start()
        self.wait_until_joined()
        return self

    def wait_until_joined(self, *nodes, seconds=20):
        """Until the nodes (default: all) see each other in the registry."""
        nodes = nodes or self.nodes
        wait_until(lambda: all(len(node.json("nodes")["nodes"]) >= len(nodes) for node in nodes),
                   "the nodes do not find each other", seconds)

    def add_node(self, **options):
        node = Node(len(self.nodes) + 1, self, **options)
        self.nodes.append(node)
        return node.start()

    def make_well(self):
        """What a test has stopped or hurt runs again."""
        if self.proxy:
            self.proxy.set("pass")
        for part in (self.redis, self.replica):
            if part and not part.process.is_running():
                part.start()
            if part:
                part.resume()
        for node in self.nodes:
            node.resume()
            if not node.process.is_running():
                node.start()
        self.wait_until_joined()

    def stop(self):
        statuses = [node.stop() for node in self.nodes if node.process.is_running()]
        for part in (*self.sentinels, self.replica, self.proxy, self.redis, self.sources):
            if part:
                part.stop()
        reports = "\n".join(one.read_text(errors="replace") for one in self.directory.glob("sanitizer*"))
        assert not reports, reports
        assert set(statuses) <= {0}, statuses

    def logs_text(self, lines=40):
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
                         for log in sorted(self.directory.glob("*.log")) if log.stat().st_size)

    # --- what Redis holds ---

    def record(self, domain):
        """The record's bytes, None when there is none."""
        return self.redis.command("GET", f"sts:r:{domain}")

    def tell(self, domain):
        """An event as any client of Redis could send."""
        return self.redis.command("XADD", "sts:e", "*", "d", domain)

    # --- all nodes ---

    def ask_all(self, domain):
        return [node.verdict(domain) for node in self.nodes]

    def ids(self, domain):
        return [answer["id"] for answer in self.ask_all(domain)]

    def wait_until_all_hold(self, *domains, seconds=10):
        wait_until(lambda: all(node.holds(domain) for domain in domains for node in self.nodes),
                   lambda: f"not held by all: {domains[:5]}", seconds)


def timed(what):
    """(result, seconds) of a call."""
    begin = time.monotonic()
    result = what()
    return result, time.monotonic() - begin
