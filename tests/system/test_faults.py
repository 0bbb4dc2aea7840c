"""What strikes a host strikes sts-cached: the disk, the files, the clock, the resolvers. FAULTS.md lists all.

Each test has an Internet and a daemon of its own, and says what must stay true meanwhile and after.
"""

import errno
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import threading
import time

import pytest

from conftest import bring_network_up
from lab import namespace
from lab.preload import Allocator, Clock, RefusedWrites
from lab.process import wait_until
from vectors.asker import Asker, Closed, verdict_fields
from vectors.dnsserver import DnsServer
from vectors.internet import DNS_TIMEOUT, SANITIZER_MARKS, Internet, find_program, policy

SECURE = "OK secure match=mx.{0} servername=hostname"
LARGE = policy(mx_hosts=("mx.DOMAIN", *(f"h{n}.example.net" for n in range(2700))))
NOT_KEPT = "the store cannot keep the policy of"


@pytest.fixture(name="own")
def fixture_own(tmp_path):
    bring_network_up()
    own = Internet(tmp_path)
    yield own
    if own.daemon.process and own.daemon.process.poll() is None:
        assert own.daemon.stop() == 0
    own.stop()
    if own.daemon.process:
        own.daemon.check_log()


@pytest.fixture(name="disk")
def fixture_disk(own):
    """The state directory is a file system of its own, of half a megabyte."""
    assert namespace.is_private(), "not in a private namespace: start the tests with tests/system/run"
    disk = Disk(own.daemon.state)
    yield disk
    if own.daemon.process and own.daemon.process.poll() is None:
        own.daemon.stop()
    disk.remove()


class Disk:
    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "disk", path], check=True)

    def remove(self):
        subprocess.run(["umount", self.path], check=True)

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def free(self):
        self.ballast.unlink()

    def set_writable(self, writable):
        subprocess.run(["mount", "-o", f"remount,{'rw' if writable else 'ro'}", self.path], check=True)


def publish(own, count=1, **options):
    domains = [own.new_domain() for _ in range(count)]
    for domain in domains:
        own.publish(domain, **options)
    return domains


def assert_secure(own, domains):
    assert {domain: own.verdict(domain)["verdict"] for domain in domains} == dict.fromkeys(domains, "secure")


def take_source_away(own):
    own.policy_hosts.stop()
    own.dns.stop()


def start_refused(own):
    """What the daemon says that must not start; its exit status is that of any trouble at the start."""
    own.daemon.write_config()
    done = subprocess.run([find_program("sts-cached"), "-f", "-c", own.daemon.config], capture_output=True, text=True,
                          check=False, timeout=20)
    assert done.returncode == 1, done
    assert not any(mark in done.stderr for mark in SANITIZER_MARKS), done.stderr
    return done.stderr


def assert_kept(own, domains):
    """They are on disk a moment later, whatever becomes of the daemon."""
    time.sleep(0.3)
    own.daemon.kill()
    take_source_away(own)
    own.daemon.start()
    assert_secure(own, domains)


def test_disk_full(own, disk):
    """Policies learnt while nothing can be written are in force from memory, the operator is told, what
    was on disk stays there, and writing goes on when there is room."""
    own.daemon.start()
    before = publish(own, 5)
    assert_secure(own, before)
    time.sleep(0.3)
    disk.fill()
    meanwhile = publish(own, 5, body=LARGE)
    assert_secure(own, meanwhile)
    wait_until(lambda: NOT_KEPT in own.daemon.log_text(), "nobody is told")
    assert_secure(own, before + meanwhile)
    disk.free()
    after = publish(own, 5)
    assert_secure(own, after)
    assert_kept(own, before + after)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_disk_refuses_writes(own, tmp_path, error):
    """A file system that becomes read-only under the daemon, or a disk with errors, is as a full one."""
    writes = RefusedWrites(tmp_path)
    own.daemon.environment = writes.environment
    own.daemon.start()
    before = publish(own, 3)
    assert_secure(own, before)
    time.sleep(0.3)
    writes.refuse(error)
    meanwhile = publish(own, 3)
    assert_secure(own, meanwhile)
    wait_until(lambda: NOT_KEPT in own.daemon.log_text() and os.strerror(error) in own.daemon.log_text(), "nobody is told")
    assert_secure(own, before + meanwhile)
    writes.refuse(0)
    after = publish(own, 3)
    assert_secure(own, after)
    assert_kept(own, before + after)
    assert not list(own.daemon.state.glob("*damaged*"))


def test_forced_flush_on_a_full_disk(own, tmp_path):
    """What was forgotten by order is forgotten, though the disk cannot be told yet: neither shown nor in force,
    the operator hears of it, and the disk follows when there is room."""
    writes = RefusedWrites(tmp_path)
    own.daemon.environment = writes.environment
    own.daemon.start()
    domain, other = publish(own, 2)
    assert_secure(own, [domain, other])
    time.sleep(0.3)
    writes.refuse(errno.ENOSPC)
    take_source_away(own)
    assert own.daemon.stsctl("flush", "--force", domain).returncode == 0
    wait_until(lambda: f"the store cannot remove the policy of {domain}: No space left" in own.daemon.log_text(),
               "nobody is told")
    assert own.daemon.stsctl("show", domain).returncode == 1
    assert domain not in own.daemon.stsctl("list").stdout
    assert own.verdict(domain)["verdict"] != "secure"
    writes.refuse(0)
    time.sleep(2)
    own.daemon.kill()
    own.daemon.start()
    assert own.daemon.stsctl("show", domain).returncode == 1
    assert_secure(own, [other])


def test_start_on_a_full_disk(own, disk):
    """What is on a full disk is known after a start; a new store there is refused with the cause."""
    disk.fill()
    assert "No space left on device" in start_refused(own)
    disk.free()
    own.daemon.start()
    domains = publish(own, 5)
    assert_secure(own, domains)
    assert own.daemon.stop() == 0
    disk.fill()
    take_source_away(own)
    own.daemon.start()
    assert_secure(own, domains)


def test_read_only_directory(own, disk):
    """No start, as no policy could be kept and old ones would not be renewed: mail waits for the
    operator, who is told why. Nothing is lost by it."""
    own.daemon.start()
    domains = publish(own, 5)
    assert_secure(own, domains)
    assert own.daemon.stop() == 0
    disk.set_writable(False)
    assert "Read-only file system" in start_refused(own)
    disk.set_writable(True)
    take_source_away(own)
    own.daemon.start()
    assert_secure(own, domains)


def test_store_full(own):
    """More large policies than store-size holds, all below one domain: all are in force from memory, the
    operator is told; those that the store took first stay there and outlive a kill."""
    own.daemon.values["more"] = 'store-size = "1M"'
    own.daemon.start()
    domains = publish(own, 30, body=LARGE)
    assert_secure(own, domains)
    wait_until(lambda: NOT_KEPT in own.daemon.log_text(), "nobody is told")
    assert_secure(own, domains)
    stats = json.loads(own.daemon.stsctl("stats", "--json").stdout)
    assert stats["store"]["evicted"] == 0, stats
    assert (own.daemon.state / "policies.mdb").stat().st_size <= 1 << 20
    own.daemon.kill()
    take_source_away(own)
    own.daemon.start()
    kept = [domain for domain in domains if own.verdict(domain)["verdict"] == "secure"]
    assert len(kept) >= 5 and kept == domains[:len(kept)], kept


# --- files ------------------------------------------------------------------------------------------------


def start_wholly(own):
    own.daemon.start()
    wait_until(lambda: "info: ready" in own.daemon.log_text(), own.daemon.log_text)


def reload_refused(own):
    before = own.daemon.log_text().count("the old settings stay in force")
    own.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: own.daemon.log_text().count("the old settings stay in force") > before, own.daemon.log_text, 10)


def test_ca_file_gone_at_reload(own, tmp_path):
    """The certificates that were read before are believed in until a reload finds some."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(own.certificates.file.read_bytes())
    own.daemon.values["ca_file"] = ca_file
    start_wholly(own)
    for damage in (ca_file.unlink, lambda: ca_file.write_text(""), lambda: ca_file.write_text("no certificate")):
        damage()
        reload_refused(own)
        assert f"error: reload: {own.daemon.config}:6: fetch.ca-file: cannot" in own.daemon.log_text().splitlines()[-1]
        assert_secure(own, publish(own))
    ca_file.write_bytes(own.certificates.file.read_bytes())
    own.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "info: reloaded" in own.daemon.log_text(), own.daemon.log_text, 10)
    assert_secure(own, publish(own))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptors_left(own):
    """EMFILE: who is connected is answered, what needs a new socket is unknown and not none, nothing spins,
    and when there are descriptors again those who waited are served."""
    own.daemon.start()
    known, new = publish(own, 3), publish(own, 1)[0]
    assert_secure(own, known)
    pid = own.daemon.process.pid
    with Asker(own.daemon.query_socket) as connected:
        assert connected.ask(f"sts {known[0]}") == SECURE.format(known[0])
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        with Asker(own.daemon.query_socket) as waiting:
            waiting.send(f"sts {known[1]}")
            used = cpu_seconds(pid)
            time.sleep(1)
            assert cpu_seconds(pid) - used < 0.3
            assert connected.ask(f"sts {known[0]}") == SECURE.format(known[0])
            assert verdict_fields(connected.ask(f"verdict {new}"))["verdict"] in ("unknown", "pending")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            assert waiting.receive() == SECURE.format(known[1])
    assert_secure(own, publish(own))
    assert own.daemon.stsctl("refresh", new).returncode == 0
    assert_secure(own, [new])


# --- clocks -----------------------------------------------------------------------------------------------


@pytest.fixture(name="clock")
def fixture_clock(own, tmp_path):
    made = Clock(tmp_path)
    own.daemon.environment = made.environment
    return made


DAY_S, WEEK_S, HOUR_S = 86400, 604800, 3600


def assert_left(own, clock, domain, seconds):
    """The policy has so many seconds left by the daemon's clock."""
    shown = json.loads(own.daemon.stsctl("--json", "query", domain).stdout)
    left = shown["expires"] - (time.time() + clock.wrong_s)
    assert seconds - 120 < left < seconds + 5, (left, shown)


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_clock_is_set(own, clock, step_s):
    """A day either way ends or prolongs no policy, neither one in memory nor one that is only on disk, and a
    restart keeps those that have not ended by then. (With the clock before their certificates' beginning no new
    policies can be fetched.)"""
    own.daemon.start()
    week = publish(own, 3, body=policy(max_age=str(WEEK_S)))
    hour = publish(own, 1, body=policy(max_age=str(HOUR_S)))
    unasked = publish(own, 1, body=policy(max_age=str(WEEK_S)))  # while the clock is wrong
    assert_secure(own, week + hour + unasked)
    time.sleep(0.3)
    clock.step(step_s)
    assert_secure(own, week + hour)
    assert [len(own.policy_hosts.hosts[f"mta-sts.{domain}"].requests) for domain in week + hour] == [1] * 4
    assert_left(own, clock, week[0], WEEK_S)
    assert_left(own, clock, hour[0], HOUR_S)
    if step_s > 0:
        assert_secure(own, publish(own, body=policy(max_age=str(WEEK_S))))
    own.daemon.kill()
    take_source_away(own)
    own.daemon.start()
    assert_secure(own, week)
    if step_s < 0:  # "fetched in the future" counts from now; forward all may have been renewed
        assert_left(own, clock, unasked[0], WEEK_S)
    clock.step(0)
    assert_secure(own, week + hour)
    time.sleep(0.3)
    own.daemon.kill()
    own.daemon.start()
    assert_secure(own, week + hour)


# --- resolvers --------------------------------------------------------------------------------------------


def test_resolver_gone(own):
    """Known policies stay in force; what cannot be looked up is unknown, never none; when the resolver
    answers again so do we."""
    own.daemon.start()
    known, new = publish(own, 3), publish(own)[0]
    assert_secure(own, known)
    own.dns.deaf = True
    begin = time.monotonic()
    answer = own.verdict(new)
    assert (answer["verdict"], answer["reason"]) == ("unknown", "dns-timeout") and time.monotonic() - begin < 5
    assert_secure(own, known)
    assert own.daemon.stsctl("refresh", known[0]).returncode == 2
    assert_secure(own, known)
    own.dns.deaf = False
    assert_secure(own, publish(own))
    assert own.daemon.stsctl("refresh", new).returncode == 0
    assert_secure(own, [new])


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_one_of_two_resolvers_gone(own, how):
    """The other one answers: late for the first question at most, and at once from then on."""
    other = DnsServer()
    other.records, other.deaf = own.dns.records, True
    if how == "closed":
        other.stop()
    own.daemon.values["dns_ports"] = [other.port, own.dns.port]
    start_wholly(own)
    assert_secure(own, publish(own))
    begin = time.monotonic()
    assert_secure(own, publish(own, 5))
    took = time.monotonic() - begin
    assert how == "closed" or took < 5 * DNS_TIMEOUT
    if how == "silent":  # and the other way round, when the first is back
        other.deaf, own.dns.deaf = False, True
        assert_secure(own, publish(own, 2))
    other.stop()


# --- kills ------------------------------------------------------------------------------------------------


class Flood:
    """Asks about one new domain after the other, and notes when each was answered, until the daemon dies."""

    def __init__(self, own, threads):
        self.own, self.lock, self.answered = own, threading.Lock(), {}
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        try:
            with Asker(self.own.daemon.query_socket) as asker:
                while True:
                    with self.lock:
                        domain = publish(self.own)[0]
                    assert asker.ask(f"sts {domain}") == SECURE.format(domain)
                    self.answered[domain] = time.monotonic()
        except (Closed, OSError):
            pass

    def wait(self):
        for thread in self.threads:
            thread.join(20)


SURELY_WRITTEN_S = 0.5  # a commit takes milliseconds, on a busy machine's disk tenths of a second
ASKED_AT_ONCE = 3


def test_killed_in_a_write(own):
    """kill -9 while policies pour in: the store is sound, and all that was answered is there but for the last
    ones, answered while the writer's last commit was under way."""
    for _ in range(2):
        own.dns.deaf = False
        own.daemon.start()
        flood = Flood(own, ASKED_AT_ONCE)
        wait_until(lambda f=flood: len(f.answered) > 8, "nobody is answered", 30)
        time.sleep(SURELY_WRITTEN_S + random.uniform(0.2, 0.6))
        own.daemon.kill()
        killed = time.monotonic()
        flood.wait()
        own.dns.deaf = True
        own.daemon.start()
        with Asker(own.daemon.query_socket) as asker:
            for domain in flood.answered:
                asker.send(f"verdict {domain}")
            got = {domain: verdict_fields(asker.receive())["verdict"] for domain in flood.answered}
        lost = [domain for domain, verdict in got.items() if verdict != "secure"]
        print(f"{len(got)} answered, {len(lost)} lost: {[f'{killed - flood.answered[one]:.3f} s' for one in lost]}")
        assert len(got) > 5
        assert all(killed - flood.answered[domain] < SURELY_WRITTEN_S for domain in lost)
        in_order = sorted(got, key=flood.answered.get)  # written in that order, but for who was asked for together
        assert {domain for domain in lost if domain in in_order[:-len(lost) - ASKED_AT_ONCE]} == set()
        assert not list(own.daemon.state.glob("*damaged*")) and not (own.daemon.state / "suspect").exists()
        own.daemon.kill()


# --- memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller, every", [("sts-cached", 40), ("sts-cached", 400), ("libldns", 7), ("libldns", 23),
                                           ("liblmdb", 2)])
def test_no_memory(own, tmp_path, caller, every):
    """Allocations fail at random places: the daemon ends with a line that says so, or answers what it knows,
    pending or unknown; never is there no policy for lack of memory. Started again it knows what it knew."""
    allocator = Allocator(tmp_path, caller)
    own.daemon.environment = allocator.environment
    start_wholly(own)
    known, new = publish(own, 2), publish(own, 12)
    assert_secure(own, known)
    time.sleep(0.3)
    allocator.fail(every)
    answers = [answer for domain in new for answer in (try_verdict(own, domain), try_verdict(own, known[0]))]
    assert allocator.failed
    allocator.fail(0)
    print(answers)
    assert {answer[0] for answer in answers} <= {"secure", "pending", "unknown", "closed"}
    if caller == "sts-cached":
        assert own.daemon.process.wait(20) != 0
        assert "error: out of memory, the program ends" in own.daemon.log_text()
        assert not any(mark in own.daemon.log_text() for mark in SANITIZER_MARKS)
    else:
        own.daemon.kill()
    own.daemon.environment = {}
    own.dns.deaf = True
    own.daemon.start()
    assert_secure(own, known)


EACH_ALLOCATION = 3  # 1: all, in half a minute


def ends_or_serves(own):
    """Starts the daemon. Its exit status, or None when it came to be ready; it is ended then."""
    ready = own.daemon.log_text().count("info: ready")
    own.daemon.query_socket.unlink(missing_ok=True)
    own.daemon.start_at_once()
    wait_until(lambda: own.daemon.process.poll() is not None or own.daemon.log_text().count("info: ready") > ready,
               own.daemon.log_text, 20)
    if own.daemon.process.poll() is not None:
        return own.daemon.process.returncode
    own.daemon.kill()
    return None


@pytest.mark.parametrize("suspect", [False, True], ids=["sound", "suspect"])
def test_no_memory_to_open_the_store(own, tmp_path, suspect):
    """One allocation or map of LMDB fails while the store is opened, looked at and, after a crash, copied,
    another one at each start: no start then, and no good store is taken for a damaged one."""
    own.daemon.start()
    known = publish(own, 3) + publish(own, 1, body=LARGE)
    assert_secure(own, known)
    assert own.daemon.stop() == 0
    take_source_away(own)
    allocator = Allocator(tmp_path, "liblmdb")
    own.daemon.environment = allocator.environment
    if suspect:
        (own.daemon.state / "suspect").touch()
    allocator.fail(1)
    statuses = [ends_or_serves(own)]
    while allocator.failed and not list(own.daemon.state.glob("*damaged*")):
        allocator.fail(1 + EACH_ALLOCATION * len(statuses))
        statuses.append(ends_or_serves(own))
    print(statuses)
    assert len(statuses) > 5 and set(statuses[:5]) <= {1, 71}
    assert suspect or not allocator.failed
    assert "Cannot allocate memory" in own.daemon.log_text() and "out of memory, the" in own.daemon.log_text()
    own.daemon.environment = {}
    own.daemon.start()
    assert_secure(own, known)


def try_verdict(own, domain):
    try:
        fields = own.verdict(domain)
        return fields["verdict"], fields["reason"]
    except (Closed, OSError):
        return ("closed",)
