"""The units of contrib/systemd under systemd itself, in namespaces of its own: installed as the README says, with
every limit in force."""

import pathlib
import subprocess
import urllib.request

import pytest
from lab.daemons import program
from lab.farm import KEY, Farm
from lab.init import Init, status
from lab.mx import Mx
from milterlab import FakeDaemon, wait_until
from miltertalk import MilterTalk
from vectors.asker import Asker, verdict_fields
from vectors.dnsserver import address, mx, txt
from vectors.internet import BUILD

UNITS = pathlib.Path(__file__).resolve().parents[2] / "contrib/systemd"
QUERY, MILTER = "/run/sts-cached/query.sock", "/run/sts-milter/milter.sock"
# Other addresses than those of the lab, whose daemons may be running.
ADDRESS, MX_ADDRESS = "127.0.8.1", "127.0.8.2"
QUERY_PORT, METRICS_PORT, MILTER_PORT = 8461, 9461, 8462
# What a build with sanitizers needs for itself, and where its reports go.
DROP_IN = """\
[Service]
ExecStart=
ExecStart=/srv/{0} -f -c /etc/sts-milter/{0}.conf
Environment=ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:log_path=/run/{0}/sanitizer UBSAN_OPTIONS=halt_on_error=1
SystemCallFilter=sched_getaffinity prlimit64 personality
StandardError=append:/run/{0}.log
"""
CACHED_CONF = """\
socket-group = "operators"
listen = {{ "unix:/run/sts-cached/query.sock", "inet:8461@{address}" }}
http {{ listen = "inet:{metrics}@{address}" }}
probe = true
dns {{ servers = {{ "inet:{sources.dns.port}@127.0.0.1" }} }}
fetch {{ port = {sources.policies.port}  ca-file = "/etc/sts-milter/ca.pem"  allow-address = {{ "127.0.0.0/8" }} }}
redis {{ {redis}  key-file = "/etc/sts-milter/farm.key" }}
"""


def install(init, name):
    """As contrib/systemd/README.md says, but for the places of the programs and the address."""
    text = (UNITS / f"{name}.service.in").read_text().replace("@sbindir@", "/srv")
    (init.units / f"{name}.service").write_text(text)
    (init.units / f"{name}.socket").write_text((UNITS / f"{name}.socket").read_text().replace("127.0.0.1", ADDRESS))
    set_more(init, name, "lab", DROP_IN.format(name))
    (init.path("/srv") / name).write_bytes(program(pathlib.Path(BUILD), name).read_bytes())
    (init.path("/srv") / name).chmod(0o755)


def set_more(init, name, part, text):
    folder = init.units / f"{name}.service.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{part}.conf").write_text(text)


def make_users(init):
    """By the files that come with the units; and the MTA's."""
    for kind in ("sysusers", "tmpfiles"):
        (init.path(f"/etc/{kind}.d")).mkdir(exist_ok=True)
        (init.path(f"/etc/{kind}.d") / "sts-milter.conf").write_text((UNITS / f"sts-milter.{kind}").read_text())
    (init.path("/etc/sysusers.d") / "lab.conf").write_text("u postfix - Postfix\ng operators -\n")
    for words in (["systemd-sysusers"], ["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sts-milter.conf"]):
        done = init.run(*words)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", name="farm")
def fixture_farm(tmp_path_factory):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = Farm(tmp_path_factory.mktemp("units"), nodes=0)
    made.redis.start()
    yield made
    made.stop()


@pytest.fixture(scope="module", name="host")
def fixture_host(farm, tmp_path_factory):
    """A host whose systemd has the units; nothing is started."""
    init = Init(tmp_path_factory.mktemp("host"))
    for name in ("sts-cached", "sts-milter"):
        install(init, name)
    set_more(init, "sts-cached", "group", "[Service]\nSupplementaryGroups=operators\n")
    set_more(init, "sts-milter", "group", "[Service]\nSupplementaryGroups=postfix\n")
    try:
        init.start()
        make_users(init)
        configure(init, farm)
        init.order("daemon-reload")
        yield init
        reports = [one.read_text(errors="replace") for one in init.path("/run").glob("sts-*/sanitizer*")]
        assert not reports, reports
    finally:
        init.stop()


def configure(init, farm):
    folder = init.path("/etc/sts-milter")
    folder.mkdir()
    (folder / "ca.pem").write_text(farm.sources.certificates.file.read_text())
    text = CACHED_CONF.format(sources=farm.sources, redis=farm.redis_config(), address=ADDRESS, metrics=METRICS_PORT)
    (folder / "sts-cached.conf").write_text(text)
    configure_milter(init, "enforce")
    (folder / "farm.key").write_text(f"{KEY}\n")
    for words in (["chown", "root:sts-cached"], ["chmod", "0640"]):
        assert init.run(*words, "/etc/sts-milter/farm.key").returncode == 0
    (init.path("/srv") / "stsctl").write_bytes(program(pathlib.Path(BUILD), "stsctl").read_bytes())
    (init.path("/srv") / "stsctl").chmod(0o755)


def configure_milter(init, mode):
    init.path("/etc/sts-milter/sts-milter.conf").write_text(f'processes = 2\nsocket-group = "postfix"\nmode = "{mode}"\n')


@pytest.fixture(name="units")
def fixture_units(host):
    """The host with all units stopped, before and after."""
    yield host
    names = [f"sts-{name}.{kind}" for kind in ("socket", "service") for name in ("cached", "milter")]
    host.order("stop", *names)
    host.systemctl("reset-failed", *names)


def ask(host, request):
    with Asker(host.path(QUERY)) as asker:
        return asker.ask(request)


def verdict(host, domain):
    return verdict_fields(ask(host, f"verdict {domain}"))


def as_user(host, user, *words, group=None):
    """A command by another user of the host, with this group, or that of his name."""
    return host.run("setpriv", "--reuid", user, "--regid", group or user, "--clear-groups", *words)


def limits(pid):
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


def assert_confined(host, name):
    """The process is its own user's, without privileges, behind a filter and with the unit's limits."""
    pid = host.main_pid(name)
    user = host.run("id", "-u", name).stdout.strip()
    assert status(pid, "Uid").split() == [user] * 4 and user != "0"
    assert (status(pid, "NoNewPrivs"), status(pid, "Seccomp")) == ("1", "2")
    assert {status(pid, f"Cap{kind}") for kind in ("Eff", "Prm", "Bnd", "Amb", "Inh")} == {"0" * 16}
    assert limits(pid)["Max core file size"] == ["0", "0"]
    assert limits(pid)["Max open files"] == ["16384", "16384"]


def probed_domain(farm):
    """One whose MX host is to be asked for its TLS, and whose TXT record comes over TCP."""
    domain = farm.sources.new_domain(hosts=["good.mx.lab.test"])
    farm.sources.dns.put(f"_mta-sts.{domain}", "TXT", txt("v=STSv1; id=tcp;"), fault="truncated")
    farm.sources.dns.put(domain, "MX", mx(10, "good.mx.lab.test"))
    farm.sources.dns.put("good.mx.lab.test", "A", address(MX_ADDRESS))
    return domain


def stsctl(host, *words):
    done = host.run("/srv/stsctl", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cached_does_everything(farm, units):
    """Questions of every kind, a probe, DNS over TCP, orders, the page of counters, a farm, a reload, a restart:
    nothing of it needs more than the unit allows."""
    units.order("start", "sts-cached.service")
    assert_confined(units, "sts-cached")
    mx_host = Mx("good", MX_ADDRESS, farm.sources.certificates)
    try:
        domain = probed_domain(farm)
        wait_until(lambda: verdict(units, domain)["reason"] == "ok", "no verdict")
        assert mx_host.wait_for_session().tls
    finally:
        mx_host.stop()
    assert ask(units, f"postfix {domain}").startswith("OK secure")
    assert verdict(units, farm.sources.plain_domain())["verdict"] == "none"
    assert farm.record(domain)
    for words in (["flush", domain], ["list"], ["nodes"], ["stats"]):
        stsctl(units, *words)
    with urllib.request.urlopen(f"http://{ADDRESS}:{METRICS_PORT}/metrics", timeout=10) as page:
        assert b"sts_" in page.read()
    units.order("reload", "sts-cached.service")
    units.order("restart", "sts-cached.service")
    farm.sources.dns.remove(f"_mta-sts.{domain}", "TXT")
    assert verdict(units, domain)["verdict"] == "secure"
    units.order("stop", "sts-cached.service")
    assert units.order("show", "--value", "--property", "Result", "sts-cached.service") == "success"


@pytest.mark.parametrize("user", ["postfix", "sts-milter", "daemon"], ids=["mta", "milter", "other"])
def test_mta_reaches_the_daemon(farm, units, user):
    """Every user's program can ask; only root, socket-group and the daemon's own user can command."""
    units.order("start", "sts-cached.service")
    domain = farm.sources.new_domain()
    asked = as_user(units, user, "/srv/stsctl", "-s", f"unix:{QUERY}", "query", domain)
    assert asked.returncode == 0 and "secure" in asked.stdout, asked.stderr
    assert as_user(units, user, "/srv/stsctl", "list").returncode == 77
    assert as_user(units, user, "/srv/stsctl", "list", group="operators").returncode == 0
    assert as_user(units, "sts-cached", "/srv/stsctl", "list").returncode == 0


@pytest.fixture(name="daemon")
def fixture_daemon(units):
    """In the place of sts-cached: refuses refuse.test."""
    units.path(QUERY).parent.mkdir(exist_ok=True)
    made = FakeDaemon(units.path(QUERY))
    made.answers = {"refuse.test": ("refuse", "mx-not-listed")}
    units.path(QUERY).chmod(0o666)
    yield made
    made.stop()
    units.path(QUERY).unlink()


def refusal(host, place=None):
    with MilterTalk(place or str(host.path(MILTER))) as talk:
        talk.negotiate()
        talk.connect()
        talk.mail()
        return talk.rcpt("u@refuse.test").code


def test_milter_does_everything(units, daemon):
    """Sessions before and after reloads; the MTA's group reaches the socket, others do not."""
    units.order("start", "sts-milter.service")
    assert_confined(units, "sts-milter")
    assert refusal(units) == "451"
    for mode, code in (("observe", "250"), ("enforce", "451")):
        configure_milter(units, mode)
        units.order("reload", "sts-milter.service")
        wait_until(lambda wanted=code: refusal(units) == wanted, "no reload")
    assert can_connect(units, "postfix") and not can_connect(units, "daemon")
    units.order("stop", "sts-milter.service")
    assert not units.path(MILTER).exists()
    assert units.order("show", "--value", "--property", "Result", "sts-milter.service") == "success"


def can_connect(host, user):
    code = f"import socket; socket.socket(socket.AF_UNIX).connect('{MILTER}')"
    return as_user(host, user, "/usr/bin/python3", "-c", code).returncode == 0


def test_sockets_outlive_cached(farm, units):
    """With sts-cached.socket: the first question starts the daemon; one that is asked while it is down or being
    restarted is answered; and at the end the socket is gone."""
    units.order("start", "sts-cached.socket")
    domain = farm.sources.new_domain()
    assert verdict(units, domain)["verdict"] == "secure"
    with Asker((ADDRESS, QUERY_PORT)) as asker:
        assert asker.ask(f"postfix {domain}").startswith("OK secure")
    for order in ("restart", "stop", "start"):
        units.order(order, "sts-cached.service")
        assert verdict(units, domain)["verdict"] == "secure", order
    stsctl(units, "list")
    asked = as_user(units, "daemon", "/srv/stsctl", "-s", f"unix:{QUERY}", "query", domain)
    assert asked.returncode == 0, asked.stderr
    units.order("stop", "sts-cached.socket", "sts-cached.service")
    assert not units.path(QUERY).exists()


def test_socket_outlives_the_milter(units, daemon):
    """With sts-milter.socket likewise; the group that may reach it stays as it was set."""
    listen(units, "SocketGroup=postfix")
    for order in ("restart", "stop", "start"):
        assert refusal(units) == "451"
        units.order(order, "sts-milter.service")
        assert can_connect(units, "postfix") and not can_connect(units, "daemon"), order
    assert refusal(units) == "451"


def test_milter_over_tcp(units, daemon):
    """Systemd's socket may be of the kind inet: the milter itself still has no network."""
    listen(units, f"ListenStream=\nListenStream={ADDRESS}:{MILTER_PORT}")
    assert refusal(units, (ADDRESS, MILTER_PORT)) == "451"


def listen(units, how):
    """sts-milter.socket with this drop-in."""
    folder = units.units / "sts-milter.socket.d"
    folder.mkdir(exist_ok=True)
    (folder / "lab.conf").write_text(f"[Socket]\n{how}\n")
    units.order("daemon-reload")
    units.order("start", "sts-milter.socket")


# --- what somebody could do who has taken a daemon over -------------------------------------------

ATTEMPTS = """\
import ctypes, mmap, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function)
attempts = {
    "become root": lambda: os.setuid(0),
    "write /etc": lambda: open("/etc/x", "w"),
    "write /var/lib": lambda: open("/var/lib/x", "w"),
    "write /srv": lambda: open("/srv/x", "w"),
    "read the home of root": lambda: os.listdir("/root") and os.stat("/root/.profile"),
    "see other processes": lambda: os.stat("/proc/1"),
    "signal other users' processes": lambda: os.kill(1, signal.SIGTERM),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "new namespace": lambda: call("unshare", 0x10000000),
    "trace": lambda: call("ptrace", 0),
    "load code that it wrote": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    "set-user-id file": lambda: (open(sys.argv[1] + "/x", "w"), os.chmod(sys.argv[1] + "/x", 0o4755)),
    "host name": lambda: socket.sethostname("x"),
    "device": lambda: open("/dev/kmsg"),
    "internet": lambda: socket.socket(socket.AF_INET),
}
for name, attempt in attempts.items():
    try:
        attempt()
        print(name)
    except OSError:
        pass
print("done")
"""


# In place of the daemon, and without what sanitizers need.
ATTEMPTED = """\
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 -IB /srv/attempts.py /run/{0}
StandardOutput=file:/run/{0}.attempts
SystemCallFilter=~sched_getaffinity prlimit64 personality
"""


@pytest.mark.parametrize("name, possible", [("sts-cached", ["internet"]), ("sts-milter", [])])
def test_what_the_unit_forbids(units, name, possible):
    """Another program in the daemon's place, with all that the unit gives it, can do nothing of this."""
    (units.path("/srv") / "attempts.py").write_text(ATTEMPTS)
    out = units.path("/run") / f"{name}.attempts"
    out.unlink(missing_ok=True)
    set_more(units, name, "zz-attempts", ATTEMPTED.format(name))
    try:
        units.order("daemon-reload")
        units.order("start", f"{name}.service")
    finally:
        (units.units / f"{name}.service.d/zz-attempts.conf").unlink()
        units.order("daemon-reload")
    assert out.read_text().splitlines() == [*possible, "done"]
