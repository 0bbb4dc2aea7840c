"""The query socket as a hostile or clumsy client uses it, and the daemon's life as an operator sees it."""

import os
import signal
import socket
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import bring_network_up
from lab.process import wait_until
from vectors.asker import Asker, Closed, frame, verdict_fields
from vectors.internet import Internet, find_program, policy
from vectors.policyserver import http

SECURE = "OK secure match=mx.{0} servername=hostname"
NOBODY = 65534


def known_domain(internet):
    domain = internet.new_domain()
    host = internet.publish(domain)
    assert internet.ask(f"sts {domain}") == SECURE.format(domain)
    return domain, host


@pytest.fixture(name="asker")
def fixture_asker(internet):
    with Asker(internet.daemon.query_socket) as asker:
        yield asker


@pytest.fixture(name="own")
def fixture_own():
    """An Internet with a daemon that the test may stop; its directory is open to all users."""
    bring_network_up()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        own = Internet(directory)
        own.daemon.start()
        yield own
        if own.daemon.process.poll() is None:
            assert own.daemon.stop() == 0
        own.stop()
        own.daemon.check_log()


def test_pipelined_answers_in_order(internet, asker):
    """A slow question in front does not let the later ones overtake it."""
    slow, fast = internet.new_domain(), known_domain(internet)[0]
    internet.publish(slow).before = 0.7
    asker.socket.sendall(b"".join(frame(f"sts {name}") for name in (slow, fast, "x..y", slow, fast)))
    assert [asker.receive() for _ in range(5)] == [SECURE.format(slow), SECURE.format(fast), "NOTFOUND ",
                                                   SECURE.format(slow), SECURE.format(fast)]


def test_thousands_of_questions_on_one_connection(internet, asker):
    """More than any buffer holds, sent before the first answer is read."""
    domain = known_domain(internet)[0]
    asker.socket.sendall(frame(f"sts {domain}") * 1000)
    assert {asker.receive() for _ in range(1000)} == {SECURE.format(domain)}


def test_many_new_domains_at_once(internet, asker):
    """Hundreds of first fetches in flight together are each answered, in time; what a busy machine has
    not ended by then is pending, and known when it is asked again."""
    domains = [internet.new_domain() for _ in range(100)]
    for domain in domains:
        internet.publish(domain)
        asker.send(f"verdict {domain}")
    answers = [verdict_fields(asker.receive()) for _ in domains]
    assert [answer["domain"] for answer in answers] == domains
    assert {answer["verdict"] for answer in answers} <= {"secure", "pending"}
    late = [answer["domain"] for answer in answers if answer["verdict"] == "pending"]
    wait_until(lambda: all(verdict_fields(asker.ask(f"verdict {domain}"))["verdict"] == "secure" for domain in late),
               "some stay pending")


def test_frame_byte_by_byte(internet, asker):
    """A frame may come in any pieces."""
    domain = known_domain(internet)[0]
    for byte in frame(f"sts {domain}"):
        asker.socket.sendall(bytes([byte]))
        time.sleep(0.002)
    assert asker.receive() == SECURE.format(domain)


def test_half_close(internet, asker):
    """Exim shuts its side after the request: it gets its answer, then the close."""
    domain = internet.new_domain()
    internet.publish(domain).before = 0.4
    asker.send(f"sts {domain}")
    asker.socket.shutdown(socket.SHUT_WR)
    assert asker.receive() == SECURE.format(domain)
    with pytest.raises(Closed):
        asker.receive()


@pytest.mark.parametrize("junk", [
    b"10001:" + b"x" * 10001 + b",", b"007:verdict,", b"00:,", b"+5:sts a,", b" 5:sts a,", b"5 :sts a,", b"-1:,", b":,",
    b"x", b"GET / HTTP/1.1\r\n\r\n", b"5:sts a;", b"99999999999999999999:", b"4294967301:sts a,", b"5\n:sts a,",
    b"0x5:sts a,",
    b"\x16\x03\x01\x02\x00"], ids=lambda junk: repr(junk[:12]))
def test_bad_frame_closes_its_connection_only(internet, asker, junk):
    """And it answers nothing to it."""
    with Asker(internet.daemon.query_socket) as other:
        asker.socket.sendall(junk)
        with pytest.raises(Closed):
            asker.receive()
        assert other.ask("sts 192.0.2.1") == "NOTFOUND "


def test_largest_frame(asker):
    """10,000 bytes are a question, if not a sensible one."""
    assert asker.ask("sts " + "a" * 9996) == "NOTFOUND "
    assert asker.ask("sts 192.0.2.1") == "NOTFOUND "


@pytest.mark.parametrize("request_text", ["", " ", "flush x", "stats", "list", "refresh a.test", "show a.test", "sts",
                                          "STS\0 a",
                                          "verdict", "x" * 200])
def test_words_that_are_no_question(asker, request_text):
    """Nothing that changes state is reachable here; no answer is PERM or a bare OK."""
    answer = asker.ask(request_text)
    assert answer in ("TEMP unknown map", "NOTFOUND ") or " reason=not-a-domain" in answer, answer


@pytest.mark.parametrize("key", [b"\xff\xfe", b"\xc3", b"a\0b.test", b"a\r\nb.test", b"\xe2\x80\xa8.test", b"%s" * 50])
def test_bytes_that_are_no_text(asker, key):
    """Neither a crash nor a policy; the next question is answered."""
    assert asker.ask(b"sts " + key) == "NOTFOUND "
    assert verdict_fields(asker.ask(b"verdict " + key))["reason"] in ("not-a-domain", "no-record")


def test_flood_of_unknown_names(internet, asker):
    """A thousand names that do not exist, in one breath."""
    asker.socket.sendall(b"".join(frame(f"verdict n{n}.flood.test") for n in range(1000)))
    answers = [verdict_fields(asker.receive()) for _ in range(1000)]
    assert [answer["domain"] for answer in answers] == [f"n{n}.flood.test" for n in range(1000)]
    assert {answer["verdict"] for answer in answers} <= {"none", "unknown"}
    assert internet.ask("sts n1.flood.test") == "NOTFOUND "


def test_largest_policy_in_every_language(internet):
    """64 KiB of hosts: the verdict, Postfix's and Sendmail's replies keep to their limits."""
    domain = internet.new_domain()
    hosts = ("mx.DOMAIN", *(f"h{n}.example.net" for n in range(2700)))
    internet.publish(domain, body=policy(mx_hosts=hosts))
    assert internet.verdict(domain)["verdict"] == "secure"
    assert internet.ask(f"postfix {domain}").endswith(":h2699.example.net servername=hostname")
    matched = internet.ask(f"sts {domain}").split(" ")[2]
    assert matched.startswith(f"match=mx.{domain}:") and len(matched) <= 255 + len("match=")
    answer = internet.ask(f"postfix-tlsrpt {domain}")
    assert len(answer) <= 100000 and answer.startswith("OK secure match=mx."), answer[:100]
    assert "{ policy_string = version: STSv1 }" in answer and " mx_host_pattern=mx." in answer


def test_tcp_listener(internet):
    """The inet socket speaks the same."""
    domain = known_domain(internet)[0]
    with Asker(("127.0.0.1", internet.daemon.values["query_port"])) as asker:
        assert asker.ask(f"sts {domain}") == SECURE.format(domain)


def test_clients_that_leave(internet):
    """Askers that go away before the answer harm nobody."""
    domain = internet.new_domain()
    internet.publish(domain).before = 0.5
    for _ in range(200):
        with Asker(internet.daemon.query_socket) as asker:
            asker.send(f"verdict {domain}")
    assert internet.verdict(domain)["verdict"] == "secure"


def test_kill_keeps_the_policies(own):
    """kill -9, and neither DNS nor the policy host is there when it comes back."""
    domains = [known_domain(own)[0] for _ in range(20)]
    time.sleep(0.5)
    own.daemon.kill()
    own.policy_hosts.stop()
    own.dns.stop()
    own.daemon.start()
    got = own.verdict(domains[0])
    assert (got["verdict"], got["source"], got["mx"]) == ("secure", "lmdb", f"mx.{domains[0]}"), got
    for domain in domains:
        assert own.ask(f"sts {domain}") == SECURE.format(domain)


def test_stop_answers_what_was_asked(own):
    """SIGTERM: no new connection, the question under way gets its answer, exit status 0, sockets gone."""
    domain = own.new_domain()
    own.publish(domain).before = 1
    with Asker(own.daemon.query_socket) as asker, Asker(own.daemon.query_socket):
        asker.send(f"sts {domain}")
        time.sleep(0.4)
        own.daemon.process.send_signal(signal.SIGTERM)
        assert asker.receive() == SECURE.format(domain)
        assert own.daemon.process.wait(10) == 0
    assert not own.daemon.query_socket.exists() and not own.daemon.control_socket.exists()


def reload_daemon(own, wanted_line, **changes):
    own.daemon.write_config(**changes)
    before = own.daemon.log_text().count(wanted_line)
    own.daemon.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 10
    while own.daemon.log_text().count(wanted_line) == before:
        assert time.monotonic() < until, own.daemon.log_text()
        time.sleep(0.02)


def test_can_be_ended_from_the_first_moment(own):
    """SIGTERM right when the first socket appears: exit 0, no socket file."""
    assert own.daemon.stop() == 0
    for _ in range(10):
        own.daemon.start_at_once()
        assert own.daemon.stop() == 0
        assert not own.daemon.query_socket.exists()


def test_reload(own):
    """SIGHUP: all of the new settings, or none; connections and policies stay."""
    domain = known_domain(own)[0]
    with Asker(own.daemon.query_socket) as asker:
        for bad in ("no-such-key = 1", "mode = banana", 'fetch { ca-file = "/no/such/file" }', 'answer-deadline = "'):
            reload_daemon(own, "old settings stay", more=bad)
            assert asker.ask(f"sts {domain}") == SECURE.format(domain)
        for mode, want in (("observe", "none observe"), ("off", "none off"), ("enforce", "secure ok")):
            reload_daemon(own, "reloaded", more=f"mode = {mode}")
            got = verdict_fields(asker.ask(f"verdict {domain}"))
            assert f"{got['verdict']} {got['reason']}" == want
            assert asker.ask(f"sts {domain}") == (SECURE.format(domain) if mode == "enforce" else "NOTFOUND ")


@pytest.mark.parametrize("line, fault", [
    ("", ""),
    ('fetch { proxy = "127.0.0.1:3128" }', ""),
    ('fetch { proxy = "http://[::1]:3128/" }', ""),
    ('fetch { proxy = "https://[::1]:3128/" }', 'fetch.proxy: "https://[::1]:3128/": a proxy is http://ADDRESS:PORT'),
    ('fetch { ca-file = "/no/such/file" }', "fetch.ca-file: cannot read certificates from /no/such/file: No such file"),
    ('fetch { ca-file = "/etc/passwd" }', "fetch.ca-file: cannot read certificates from /etc/passwd: "),
    ('fetch { proxy = "host.name:3128" }', 'fetch.proxy: "host.name:3128": a proxy is http://ADDRESS:PORT'),
    ('fetch { proxy = "ftp://127.0.0.1:3128" }', 'fetch.proxy: "ftp://127.0.0.1:3128": a proxy is http://ADDRESS:PORT'),
    ('fetch { allow-address = { "10.0.0.0/33" } }', 'fetch.allow-address: "10.0.0.0/33": no address'),
    ('dns { servers = { "inet:53@nowhere" } }', 'dns.servers: "inet:53@nowhere": "nowhere" is no IPv4 address'),
    ('state-directory = ""', 'state-directory: "": the path must begin with /'),
])
def test_of_the_configuration(internet, tmp_path, line, fault):
    """-t says what a start would say, with file and line, and starts nothing."""
    config = tmp_path / "sts-cached.conf"
    config.write_text("\n" + line + "\n")
    result = subprocess.run([find_program("sts-cached"), "-t", "-c", config], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == (1 if fault else 0), result.stderr
    assert result.stderr.startswith(f"sts-cached: {config}:2: {fault}") if fault else not result.stderr, result.stderr


KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("options, text, owner, fault", [
    ('key-file = "{file}"', KEY, "root", "{file}: Permission denied"),
    ('password-file = "{file}"', "secret", "root", "{file}: Permission denied"),
    ('password-file = "{file}"', "", "nobody", "redis.password-file: {file}: the first line is no password"),
    ('tls = on ca-file = "{file}"', "no certificate", "nobody", "{file}: "),
    ('tls = on ca-file = "{file}"', "no certificate", "root", "{file}: "),
])
def test_files_of_a_farm(tmp_path, options, text, owner, fault):
    """What the daemon's user cannot read or use stops the start with a line that says so, and -t says it first."""
    file, config = tmp_path / "secret", tmp_path / "sts-cached.conf"
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        directory.chmod(directory.stat().st_mode | 0o11)
    file.write_text(text)
    file.chmod(0o600)
    shutil.chown(file, owner)
    shutil.chown(tmp_path, "nobody")
    config.write_text(f"""user = "nobody"  state-directory = "{tmp_path}/state"  listen = {{ "unix:{tmp_path}/query.sock" }}
control = "unix:{tmp_path}/control.sock"
redis {{ server = "inet:6379@127.0.0.1" {options.format(file=file)} }}""")
    for words in (["-t"], ["-f"]):
        result = subprocess.run([find_program("sts-cached"), *words, "-c", config], capture_output=True, text=True, timeout=20,
                                check=False)
        assert result.returncode == 1, (words, result.stderr)
        assert fault.format(file=file) in result.stderr.splitlines()[-1], (words, result.stderr)
        assert not list(tmp_path.glob("*.sock"))


def test_socket_files_go_with_the_daemon(tmp_path):
    """Those of the maps, of control and of the page; nobody finds one later at which nobody listens."""
    config, names = tmp_path / "sts-cached.conf", ["control.sock", "http.sock", "query.sock"]
    config.write_text(f"""state-directory = "{tmp_path}/state"  listen = {{ "unix:{tmp_path}/query.sock" }}
control = "unix:{tmp_path}/control.sock"  http {{ listen = "unix:{tmp_path}/http.sock" }}""")
    with subprocess.Popen([find_program("sts-cached"), "-f", "-c", config], stderr=subprocess.PIPE, text=True) as daemon:
        try:
            wait_until(lambda: "ready" in daemon.stderr.readline(), "it does not start", 10)
            assert sorted(path.name for path in tmp_path.glob("*.sock")) == names
        finally:
            daemon.terminate()
            assert daemon.wait(timeout=20) == 0
    assert not list(tmp_path.glob("*.sock"))


def test_no_start_without_certificates(own):
    """What -t says a start says too, and the log."""
    assert own.daemon.stop() == 0
    own.daemon.write_config(ca_file="/no/such/file")
    result = subprocess.run([find_program("sts-cached"), "-f", "-c", own.daemon.config], capture_output=True, text=True,
                            timeout=20, check=False)
    assert result.returncode == 1
    assert f"{own.daemon.config}:6: fetch.ca-file: cannot read certificates from /no/such/file" in result.stderr


def test_doubt_answered_as_configured(own):
    """on-unknown = tempfail and on-pending = accept turn both answers round."""
    unknown, pending = own.new_domain(), own.new_domain()
    own.publish(unknown)
    own.dns.put(f"_mta-sts.{unknown}", "TXT", rcode=2)
    own.publish(pending).before = 8
    reload_daemon(own, "reloaded", more="on-unknown = tempfail\non-pending = accept")
    assert own.ask(f"sts {unknown}").startswith("TEMP ")
    assert own.ask(f"postfix {unknown}").startswith("TEMP ")
    assert own.ask(f"postfix {pending}") == "NOTFOUND "


AS_NOBODY = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode())
sys.stdout.write(s.recv(4096).decode())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_control_socket_is_not_for_all(own):
    """Another uid cannot connect, and if the modes were opened by mistake it is refused by its credentials."""
    def ask_as_nobody(path, payload):
        command = [sys.executable, "-c", AS_NOBODY, path, frame(payload).decode()]
        return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True,
                              check=False)

    domain, control = known_domain(own)[0], own.daemon.control_socket
    assert SECURE.format(domain) in ask_as_nobody(own.daemon.query_socket, f"sts {domain}").stdout
    assert "PermissionError" in ask_as_nobody(control, "stats").stderr
    assert stat.S_IMODE(control.stat().st_mode) == 0o660
    control.chmod(0o666)
    for command in ("stats", f"flush --force {domain}", f"refresh {domain}"):
        assert "ERR 77 " in ask_as_nobody(control, command).stdout
    own.policy_hosts.hosts[f"mta-sts.{domain}"].raw = http(policy("none"))
    assert own.ask(f"sts {domain}") == SECURE.format(domain)
