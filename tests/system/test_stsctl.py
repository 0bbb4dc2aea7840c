"""The operator's tool against the running daemon: what it prints and the status it ends with."""

import json
import socket
import subprocess

import pytest
from lab.daemons import CONTROL_SOCKET, QUERY_SOCKET

ENFORCE_KEYS = ["verdict", "domain", "mode", "id", "max_age", "expires", "mx", "hosts", "source", "reason"]


def ask(path, payload):
    """Sends one netstring and returns the payload of the reply."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.sendall(b"%d:%s," % (len(payload), payload))
        stream = connection.makefile("rb")
        size = b""
        while not size.endswith(b":"):
            size += stream.read(1)
        return stream.read(int(size[:-1]))


def test_query_prints_the_verdict_reply(lab):
    """The first line is the very line of the `verdict` map, over either kind of socket."""
    domain = lab.domain("good", mode="enforce")
    first = lab.daemons.stsctl("query", domain.name)
    line = lab.daemons.stsctl("query", domain.name).stdout
    assert first.returncode == 0 and first.stdout.startswith(f"verdict=secure domain={domain.name} mode=enforce id=")
    assert [word.split("=")[0] for word in line.split()] == ENFORCE_KEYS
    assert line == ask(QUERY_SOCKET, b"verdict " + domain.name.encode()).decode()[3:] + "\n"
    over_query = ["-s", f"unix:{QUERY_SOCKET}", "query", domain.name]
    assert lab.daemons.stsctl(*over_query).stdout == line
    told, all_of_it = (json.loads(lab.daemons.stsctl("--json", *words).stdout) for words in (over_query, ["query", domain.name]))
    assert list(told) == list(all_of_it) and told["reply"] == all_of_it["reply"] and told["fetched"] is None


@pytest.mark.parametrize("mode, verdict, status", [("enforce", "secure", 0), ("testing", "testing", 0), ("none", "none", 1)])
def test_query_and_show_by_mode(lab, mode, verdict, status):
    """What is in force is shown with its text; mode none is no protection, and says so by its status."""
    domain = lab.domain("good", mode=mode)
    result = lab.daemons.stsctl("query", "--json", domain.name)
    answer = json.loads(result.stdout)
    assert (answer["verdict"], answer["mode"], result.returncode) == (verdict, mode, status)
    shown = lab.daemons.stsctl("show", domain.name)
    assert f"    mode: {mode}\n" in shown.stdout and shown.returncode == status
    assert json.loads(lab.daemons.stsctl("--json", "show", domain.name).stdout)["body"].startswith("version: STSv1\r\n")


def test_query_says_why(lab):
    """Each way of failing has its reason, its words and its status."""
    none = lab.domain("good")
    missing, broken, servfail = (lab.domain("good", mode="enforce") for _ in range(3))
    lab.policies.set_status(missing.name, 404)
    lab.policies.set_status(broken.name, 503)
    lab.dns.servfail(f"_mta-sts.{servfail.name}")
    unlisted = lab.domain("good", mode="enforce", listed=["elsewhere.example"])
    for domain, reason, status in ((none, "no-record", 1), (missing, "http-status", 3), (broken, "http-status", 2),
                                   (servfail, "dns-servfail", 2), (unlisted, "mx-not-listed", 3)):
        result = lab.daemons.stsctl("query", domain.name)
        lines = result.stdout.splitlines()
        # A query socket does not tell the status: what may have been a 5xx counts as one.
        over_query = lab.daemons.stsctl("-s", f"unix:{QUERY_SOCKET}", "query", domain.name)
        assert over_query.returncode == (2 if reason == "http-status" else status), over_query.stdout
        assert lines[0].endswith(f"reason={reason}") and lines[1].startswith("why: "), result.stdout
        assert result.returncode == status, result.stdout
    assert "503" in lab.daemons.stsctl("query", broken.name).stdout
    assert lab.daemons.stsctl("query", "192.0.2.1").returncode == 3


def test_list_has_memory_and_store(lab):
    """A policy is listed at once, in order, and still after a restart."""
    names = sorted(lab.domain("good", mode="enforce", label="listed").name for _ in range(3))
    for name in names:
        lab.daemons.query(name)
    lines = lab.daemons.stsctl("list", "listed*").stdout.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert [line.split()[1:3] for line in lines] == [["enforce", "86400"]] * 3
    lab.daemons.cached.stop()
    lab.daemons.cached.start()
    assert lab.daemons.stsctl("list", "listed*").stdout.splitlines() == lines
    policies = json.loads(lab.daemons.stsctl("list", "--json", "LISTED*").stdout)["policies"]
    assert [policy["domain"] for policy in policies] == names


def test_flush_renews_and_never_weakens(lab):
    """A flush takes a new policy whatever the id says; when none can be had the old one stays."""
    domain = lab.domain("good", mode="enforce")
    assert lab.daemons.stsctl("flush", domain.name).returncode == 1  # not held
    lab.daemons.query(domain.name)
    lab.policies.publish(domain.name, "version: STSv1\nmode: testing\nmx: good.mx.lab.test\nmax_age: 90000\n")
    assert lab.daemons.query(domain.name)["mode"] == "enforce"
    assert lab.daemons.stsctl("flush", domain.name).returncode == 0
    assert lab.daemons.query(domain.name)["mode"] == "testing"
    lab.policies.set_status(domain.name, 503)
    lab.dns.set_txt(f"_mta-sts.{domain.name}")
    kept = lab.daemons.stsctl("flush", domain.name, "--wait")
    assert kept.returncode == 2 and "kept" in kept.stdout and "503" in kept.stdout
    assert "503" in lab.daemons.stsctl("show", domain.name).stdout
    assert lab.daemons.stsctl("flush", "--force", domain.name).returncode == 0
    assert lab.daemons.stsctl("show", domain.name).returncode == 1


def test_status_of_flush_and_refresh(lab):
    """They end as the manual says: what is kept is in doubt, and without a policy a refresh ends as a query does."""
    held, malformed, none, servfail = (lab.domain("good", mode="enforce") for _ in range(4))
    lab.daemons.query(held.name)
    for domain in (held, malformed):
        lab.policies.publish(domain.name, "version: STSv1\nmode: sometimes\n")
    lab.dns.set_txt(f"_mta-sts.{none.name}")
    lab.dns.servfail(f"_mta-sts.{servfail.name}")
    for command, domain, outcome, status in (("flush", held, "kept", 2), ("refresh", held, "kept", 2),
                                             ("refresh", malformed, "no-policy", 3), ("refresh", none, "no-policy", 1),
                                             ("refresh", servfail, "unknown", 2), ("flush", servfail, "unknown", 0)):
        result = lab.daemons.stsctl(command, domain.name)
        assert result.stdout.startswith(f"{domain.name}: {outcome}: ") and result.returncode == status, result


def test_flush_forgets_that_there_was_no_policy(lab):
    """A domain that has just published its policy is seen at once after a flush."""
    domain = lab.domain("good")
    assert lab.daemons.verdict(domain.name) == ("none", "no-record")
    domain.set_policy("enforce", ["good.mx.lab.test"])
    assert lab.daemons.verdict(domain.name) == ("none", "no-record")
    assert lab.daemons.stsctl("flush", domain.name).returncode == 0
    assert lab.daemons.verdict(domain.name) == ("secure", "ok")


def test_flush_of_many_names_the_failures(lab):
    """Of a glob each domain is fetched anew; the one that fails is named and kept."""
    domains = [lab.domain("good", mode="enforce", label="many") for _ in range(5)]
    for domain in domains:
        lab.daemons.query(domain.name)
    lab.policies.set_status(domains[2].name, 503)
    result = lab.daemons.stsctl("--json", "flush", "many*")
    flushed = json.loads(result.stdout)
    assert (flushed["renewed"], flushed["kept"], result.returncode) == (4, 1, 2)
    assert [failure["domain"] for failure in flushed["failures"]] == [domains[2].name]
    assert lab.daemons.query(domains[2].name)["mode"] == "enforce"
    assert lab.daemons.stsctl("flush", "nothing-like-it*").returncode == 1


def test_output_that_cannot_be_written(lab):
    """A full disk behind the output is said, and is no success."""
    lab.daemons.query(lab.domain("good", mode="enforce").name)
    for words in (["list"], ["--json", "list"], ["stats"], ["--json", "stats"], ["--help"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([lab.daemons.stsctl_program, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                                    check=False, timeout=20)
        assert result.returncode == 2 and "the output cannot be written: No space left" in result.stderr, result


def test_long_arguments(lab):
    """Any domain can be asked about, however long its letters outside ASCII are; what is longer is said to be too long."""
    longest = ".".join(["\U00010348" * 45] * 6)
    assert len(longest.encode()) > 1000
    result = lab.daemons.stsctl("query", longest)
    assert "reason=" in result.stdout and "not a command" not in result.stderr, result
    for command in ("query", "check", "show"):
        result = lab.daemons.stsctl(command, "a" * 1500)
        assert result.returncode == 64 and "the argument is too long" in result.stderr, result


def test_stats_count_what_was_asked(lab):
    """A question is counted once, under its verdict and its reason."""
    before = json.loads(lab.daemons.stsctl("stats", "--json").stdout)
    lab.daemons.query(lab.domain("good", mode="enforce").name)
    lab.daemons.query(lab.domain("good").name)
    after = json.loads(lab.daemons.stsctl("stats", "--json").stdout)
    assert after["questions"] - before["questions"] == 2
    for group, name in (("verdicts", "secure"), ("verdicts", "none"), ("reasons", "no-record")):
        assert after[group][name] - before[group][name] == 1
    assert after["fetches"] - before["fetches"] == 1
    assert "questions" in lab.daemons.stsctl("stats").stdout


def test_usage_and_missing_daemon(lab):
    """64 for what cannot be understood, 69 without a daemon, 77 for who may not."""
    stsctl = lab.daemons.stsctl
    for words in ([], ["nonsense"], ["query"], ["query", "a", "b"], ["query", "a b"], ["list", "--wait"], ["--bad"],
                  ["flush", "--all", "x"], ["stats", "x"], ["-s", "nonsense:1", "stats"], ["show", "192.0.2.1"]):
        result = stsctl(*words)
        assert result.returncode == 64 and result.stderr and not result.stdout, words
    assert stsctl("-s", f"unix:{QUERY_SOCKET}", "list").returncode == 64
    assert stsctl("-h").returncode == 0 and stsctl("-V").stdout.startswith("stsctl ")
    for words in (["stats"], ["list"], ["--json", "list"], ["--json", "query", "a.test"], ["--json", "nodes"]):
        result = stsctl("-s", "unix:/run/nobody.sock", *words)
        assert result.returncode == 69 and result.stderr and not result.stdout, words
    result = stsctl("--json", "-s", f"unix:{QUERY_SOCKET}", "list")
    assert result.returncode == 64 and not result.stdout
    refused = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                              lab.daemons.stsctl_program, "stats"], capture_output=True, text=True, check=False)
    assert refused.returncode == 77
    assert "permission denied: root, the daemon's user and the members of its socket-group may" in refused.stderr


def test_cause_of_a_missing_daemon(lab, tmp_path):
    """What the system says of the socket is told: there is none, or nobody listens on it."""
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))
    for spec, cause in (("unix:/run/nobody.sock", "No such file or directory"), (f"unix:{stale}", "Connection refused"),
                        ("inet:1@127.0.0.1", "Connection refused")):
        result = lab.daemons.stsctl("-s", spec, "stats")
        assert result.returncode == 69
        assert result.stderr == f"stsctl: {spec}: the cache daemon cannot be reached: {cause}\n"


def test_control_socket_speaks_plainly(lab):
    """Over the socket itself: OK and JSON, or ERR, a code and a text; and a bad command costs nothing."""
    assert json.loads(ask(CONTROL_SOCKET, b"nodes")[3:])["nodes"][0]["confirmed"] is True
    assert ask(CONTROL_SOCKET, b"show not-held.test") == b"ERR 1 not-held.test: not held"
    assert ask(CONTROL_SOCKET, b"explode").startswith(b"ERR 64 ")
    assert ask(QUERY_SOCKET, b"flush --all") == b"TEMP unknown map"
