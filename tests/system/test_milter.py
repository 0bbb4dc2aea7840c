"""sts-milter as an MTA and an operator see it: the real program, a fake cache daemon."""

import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

import miltertalk
from lab import sanitizer
from milterlab import PROGRAM, FakeDaemon, Milter, is_listening, is_running, verdict, wait_until


@pytest.fixture(name="daemon")
def fixture_daemon(tmp_path):
    daemon = FakeDaemon(tmp_path / "query.sock")
    yield daemon
    daemon.stop()


@pytest.fixture(name="start")
def fixture_start(tmp_path, daemon):
    started = []

    def start(environment=None, **options):
        milter = Milter(tmp_path, daemon, **options)
        milter.environment = environment or {}
        started.append(milter)
        return milter.start()

    yield start
    for milter in started:
        if milter.process.poll() is None:
            assert milter.stop()[0] == 0, milter.log
        assert not sanitizer.reports(milter.log), milter.log


DOWN = "the daemon is down"
VERDICTS = {
    "none.test": ("none", "no-record"),
    "testing.test": ("testing", "ok"),
    "secure.test": ("secure", "ok"),
    "dane.test": ("dane", "ok"),
    "refuse.test": ("refuse", "mx-not-listed"),
    "probe.test": ("refuse", "probe-failed"),
    "nullmx.test": ("refuse", "null-mx"),
    "pending.test": ("pending", "deadline"),
    "unknown.test": ("unknown", "dns-servfail"),
}
ALWAYS_ACCEPTED = ["none.test", "testing.test", "secure.test", "dane.test", "nullmx.test"]


def one_rcpt(milter, domain, **options):
    with milter.talk() as talk:
        return talk.rcpt(f"user@{domain}", **options)


@pytest.mark.parametrize("role", ["gate", "wall"])
def test_verdicts_by_role(start, daemon, role):
    """Each verdict does what the role says: refuse is 451 4.7.5 in both, doubt only in a wall."""
    daemon.answers = dict(VERDICTS)
    milter = start(role=role)
    codes = {domain: one_rcpt(milter, domain).code for domain in VERDICTS}
    doubt = "451" if role == "wall" else "250"
    assert codes == {**dict.fromkeys(ALWAYS_ACCEPTED, "250"), "refuse.test": "451", "probe.test": "451",
                     "pending.test": doubt, "unknown.test": doubt}
    assert one_rcpt(milter, "refuse.test").text.startswith("451 4.7.5 MTA-STS: refuse.test ")


@pytest.mark.parametrize("key,domain", [("on_pending", "pending.test"), ("on_unknown", "unknown.test")])
@pytest.mark.parametrize("role", ["gate", "wall"])
def test_doubt_set_by_itself(start, daemon, role, key, domain):
    """on-pending and on-unknown override the role."""
    daemon.answers = dict(VERDICTS)
    milter = start(role=role, **{key: "accept" if role == "wall" else "tempfail"})
    assert one_rcpt(milter, domain).code == ("250" if role == "wall" else "451")


@pytest.mark.parametrize("role,code", [("gate", "250"), ("wall", "451")])
def test_daemon_is_dead(start, daemon, role, code):
    """Nobody listens: the role decides, at once, and the log says so once."""
    milter = start(role=role)
    daemon.stop()
    began = time.monotonic()
    assert [one_rcpt(milter, f"d{n}.test").code for n in range(20)] == [code] * 20
    assert time.monotonic() - began < 1
    milter.wait_for_log("warning: no verdicts")
    daemon.start()
    daemon.answers = dict(VERDICTS)
    wait_until(lambda: one_rcpt(milter, "refuse.test").code == "451" and one_rcpt(milter, "none.test").code == "250",
               "the milter asks again")


@pytest.mark.parametrize("role,code", [("gate", "250"), ("wall", "451")])
def test_daemon_hangs(start, daemon, role, code):
    """A daemon that never answers costs one message wait + 250 ms, not each recipient."""
    daemon.delay = 60
    milter = start(role=role)
    with milter.talk() as talk:
        began = time.monotonic()
        assert [talk.rcpt(f"u@d{n}.test").code for n in range(30)] == [code] * 30
        assert time.monotonic() - began < 1.2
        assert talk.end_of_message()[-1].accepted


FAULTS = {
    "another domain": lambda domain, wait: verdict("refuse", "other.test", "mx-not-listed"),
    "garbage": lambda domain, wait: b"hello\r\n",
    "no verdict": lambda domain, wait: "OK secure match=a.test servername=hostname",
    "not found": lambda domain, wait: "NOTFOUND ",
    "temp": lambda domain, wait: "TEMP overload",
    "perm": lambda domain, wait: "PERM no",
    "empty": lambda domain, wait: "",
    "huge": lambda domain, wait: b"999999999:" + b"x" * 1000,
    "unknown verdict": lambda domain, wait: verdict("perhaps", domain),
    "closed": lambda domain, wait: None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_reply(start, daemon, fault):
    """A reply that is no verdict on this domain counts as no answer, and the next question is
    answered rightly, on a new connection."""
    daemon.answers = {"bad.test": FAULTS[fault], "refuse.test": ("refuse", "mx-not-listed")}
    milter = start(role="gate", on_cache_down="tempfail")
    reply = one_rcpt(milter, "bad.test")
    assert reply.code == "451" and "does not answer" in reply.text
    wait_until(lambda: "is none" not in (text := one_rcpt(milter, "refuse.test").text) and "hosts that its policy" in text,
               "a good answer")


def test_late_answer_is_not_taken_for_the_next(start, daemon):
    """The answer that comes after the deadline is for nobody."""
    def late(domain, wait):
        time.sleep(1.2)
        return verdict("refuse", domain, "mx-not-listed")
    daemon.answers = {"late.test": late}
    milter = start()
    with milter.talk() as talk:
        assert talk.rcpt("u@late.test").accepted
        time.sleep(1.3)
        talk.abort()  # the budget of that message is used up
        assert talk.rcpt("u@fine.test").accepted
    milter.wait_for_log("answers again")
    assert "another domain" not in milter.log


def test_reply_text(start, daemon):
    """451 names domain, cause and remedy in a short line of safe characters."""
    daemon.answers = {"refuse.test": lambda domain, wait: verdict(
        "refuse", domain, "mx-not-listed", mx="mx1.refuse.test,*.good.test,b%0d%0ax%25s")}
    text = one_rcpt(start(), "refuse.test").text
    assert text == ("451 4.7.5 MTA-STS: refuse.test accepts mail only at the hosts that its policy lists "
                    "(mx1.refuse.test, *.good.test, b??x?s), and none of its MX hosts is among them; please try again "
                    "later - its postmaster should correct the policy or the MX records")


def test_reject(start, daemon):
    """on-refuse = reject is for good."""
    daemon.answers = dict(VERDICTS)
    milter = start(on_refuse="reject")
    reply = one_rcpt(milter, "refuse.test")
    assert reply.text.startswith("550 5.7.5 MTA-STS: refuse.test ")
    assert one_rcpt(milter, "nullmx.test").accepted


def test_quarantine(start, daemon):
    """on-refuse = quarantine takes the recipient and holds the message."""
    daemon.answers = dict(VERDICTS)
    milter = start(on_refuse="quarantine")
    with milter.talk() as talk:
        assert talk.actions & miltertalk.QUARANTINE
        assert talk.rcpt("u@refuse.test").accepted
        replies = talk.end_of_message()
        assert [reply.command for reply in replies] == ["q", "c"]
        assert "refuse.test" in replies[0].text
        assert talk.rcpt("u@none.test").accepted
        assert [reply.command for reply in talk.end_of_message("Q2")] == ["c"]
    milter.wait_for_log("queue-id=QID1 .*end=quarantined")
    with milter.talk(actions=0x101) as talk:
        assert talk.rcpt("u@refuse.test").code == "451"


def test_observe(start, daemon):
    """mode = observe logs and counts, and lets everything pass."""
    daemon.answers = dict(VERDICTS)
    milter = start(mode="observe", role="wall")
    with milter.talk() as talk:
        assert all(talk.rcpt(f"u@{domain}").accepted for domain in VERDICTS)
        assert talk.end_of_message()[-1].accepted
    milter.wait_for_log("recipient .*domain=refuse.test verdict=refuse reason=mx-not-listed observed=tempfail")
    milter.wait_for_log("message queue-id=QID1 .*rcpts=9 asked=9 refused=0 .*refuse=3 .*mode=observe")


def test_negotiation(start):
    """Only RCPT and the end of the message are taken, and no action that is not needed."""
    with start().talk() as talk:
        wanted = (miltertalk.NO_CONNECT | miltertalk.NO_HELO | miltertalk.NO_MAIL | miltertalk.NO_BODY | miltertalk.NO_HEADERS |
                  miltertalk.NO_EOH | miltertalk.NO_DATA | miltertalk.NO_UNKNOWN)
        assert talk.steps == wanted
        assert talk.actions == miltertalk.SET_MACROS
        assert set(talk.macros[3]) >= {"{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}"}
        assert talk.macros[5] == ["i"]


def test_causes_of_a_refusal_by_probing(start, daemon):
    """The reply names each host with what is wrong there, when the daemon tells; and it refuses when it does not."""
    daemon.answers["probe.test"] = ("refuse", "probe-failed")
    milter = start()
    assert "mx1.example.com" in one_rcpt(milter, "probe.test").text
    daemon.causes["probe.test"] = "mx1.probe.test:tls-expired,mx2.probe.test:tls-handshake"
    reply = one_rcpt(milter, "probe.test")
    assert reply.code == "451" and "(mx1.probe.test:tls-expired, mx2.probe.test:tls-handshake)" in reply.text


def test_old_mta(start, daemon):
    """An MTA that offers nothing but the steps of protocol 2 is served as well."""
    daemon.answers = dict(VERDICTS)
    milter = start(exempt_clients='{"192.0.2.0/24"}')
    with milter.talk(actions=0x1F, steps=0x7F) as talk:
        assert talk.actions == 0
        assert talk.rcpt("u@refuse.test").accepted
        assert talk.end_of_message()[-1].accepted
    other = miltertalk.MilterTalk(milter.socket).negotiate(actions=0x1F, steps=0x7F)
    assert other.connect(address="198.51.100.1").accepted
    assert other.rcpt("u@refuse.test").code == "451"
    other.quit()


def test_exempt_clients(start, daemon):
    """Clients named by address or network are not asked about, without a reply to CONNECT."""
    daemon.answers = dict(VERDICTS)
    milter = start(exempt_clients='{"192.0.2.7", "2001:db8::/32"}')
    for address, code in [("192.0.2.7", "250"), ("192.0.2.8", "451"), ("2001:db8::1", "250"), ("2001:db9::1", "451"),
                          ("::ffff:192.0.2.7", "250")]:
        with miltertalk.MilterTalk(milter.socket).negotiate() as talk:
            assert talk.steps & miltertalk.NR_CONNECT and not talk.steps & miltertalk.NO_CONNECT
            assert talk.connect(address=address) is None
            assert talk.rcpt("u@refuse.test").code == code, address


def test_exempt_domains(start, daemon):
    """Exact names and everything below a suffix."""
    daemon.answers = {name: ("refuse", "mx-not-listed") for name in
                      ["exact.test", "a.exact.test", "below.test", "a.below.test", "xbelow.test", "xn--bcher-kva.test"]}
    milter = start(exempt_domains='{"Exact.test.", ".below.test", "b\u00fccher.test"}')
    codes = {name: one_rcpt(milter, name).code for name in daemon.answers}
    assert codes == {"exact.test": "250", "a.exact.test": "451", "below.test": "451", "a.below.test": "250",
                     "xbelow.test": "451", "xn--bcher-kva.test": "250"}


NEXT_HOPS = [  # what the MTA says, what is asked, whether it passes (r.test is refused, all else not)
    (dict(address="u@r.test"), ["r.test"], False),
    (dict(address="u@x.test", host="R.Test."), ["r.test"], False),
    (dict(address="u@x.test", host="[r.test]"), ["[r.test]"], False),
    (dict(address="u@x.test", host="[r.test]:587"), ["[r.test]"], False),
    (dict(address="u@x.test", host="r.test:25"), ["r.test"], False),
    (dict(address="u@x.test", host="r.test:ok.test"), ["r.test", "ok.test"], True),
    (dict(address="u@x.test", host="[r.test]:587, [r2.test]"), ["[r.test]", "[r2.test]"], False),
    (dict(address="u@x.test", host="[192.0.2.1]"), [], True),
    (dict(address="u@[192.0.2.1]"), [], True),
    (dict(address="u@r.test", host=""), ["r.test"], False),
    (dict(address="u@r.test", host=False), ["r.test"], False),
    (dict(address="u@r.test", host=False, mailer=False), ["r.test"], False),
    (dict(address="u@r.test", mailer="local", host=""), [], True),
    (dict(address="local", mailer="local", host=""), [], True),
    (dict(address="local", host=""), [], True),
    (dict(address="u@r.test", mailer="ESMTP"), ["r.test"], False),
    (dict(address="u@r.test", mailer="lmtp"), [], True),
    (dict(address="u@b\u00fccher.test"), ["xn--bcher-kva.test"], True),
    (dict(address="u@x.test", host="bad host name!"), None, True),
]


@pytest.mark.parametrize("rcpt,keys,passes", NEXT_HOPS)
def test_next_hop(start, daemon, rcpt, keys, passes):
    """The next hop of Sendmail and Postfix decides, one that passes is enough."""
    daemon.answers = {name: ("refuse", "mx-not-listed") for name in ["r.test", "r2.test"]}
    with start().talk() as talk:
        reply = talk.rcpt(rcpt["address"], **{name: value for name, value in rcpt.items() if name != "address"})
    assert (reply.accepted, keys is None or daemon.keys == keys) == (passes, True), daemon.keys


def test_mixed_recipients_and_log(start, daemon):
    """One is refused, the others go on; the message has one line with its queue id, no local part."""
    daemon.answers = dict(VERDICTS)
    milter = start()
    with milter.talk() as talk:
        codes = [talk.rcpt(f"secret@{domain}").code for domain in ["secure.test", "refuse.test", "none.test"]]
        assert codes == ["250", "451", "250"]
        assert talk.end_of_message("4QxyZ")[-1].accepted
    milter.wait_for_log(r"info: message queue-id=4QxyZ session=\S+ rcpts=3 asked=3 refused=1 deferred=0 .*end=accepted")
    assert "recipient queue-id=- " in milter.log and "domain=refuse.test" in milter.log
    assert "secret" not in milter.log


def test_one_question_for_recipients_of_one_domain(start, daemon):
    """Of a message's recipients at a domain that may be used one costs a question, of those that may
    not each does; all count, and the next message asks anew."""
    daemon.answers = dict(VERDICTS)
    milter = start()
    with milter.talk() as talk:
        codes = [talk.rcpt(f"{user}@{domain}").code for user in "ab" for domain in ("secure.test", "refuse.test", "none.test")]
        assert codes == ["250", "451", "250"] * 2
        assert daemon.keys == ["secure.test", "refuse.test", "none.test", "refuse.test"]
        talk.end_of_message("Q1")
        milter.wait_for_log("message queue-id=Q1 .*rcpts=6 asked=6 refused=2 deferred=0 none=2 testing=0 secure=2 dane=0 refuse=2")
        assert talk.rcpt("a@secure.test").accepted
        assert daemon.keys[4:] == ["secure.test"]


def test_log_is_escaped(start):
    """What the MTA sends cannot forge log lines."""
    milter = start()
    with milter.talk() as talk:
        talk.rcpt("u@none.test")
        talk.end_of_message("x\nerror: forged")
    milter.wait_for_log(r"queue-id=x\\x0aerror: forged")
    assert "\nerror: forged" not in milter.log


def test_aborted_message(start, daemon):
    """RSET starts anew; a connection that ends in mid-message leaves its line."""
    daemon.answers = dict(VERDICTS)
    milter = start()
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
        talk.abort()
        assert talk.rcpt("u@none.test").accepted
    milter.wait_for_log("message .*rcpts=1 asked=1 refused=1 .*end=aborted")
    milter.wait_for_log("message .*rcpts=1 asked=1 refused=0 .*end=aborted")


def test_add_header(start, daemon):
    """add-header writes counts, no domains."""
    daemon.answers = dict(VERDICTS)
    with start(add_header="on").talk() as talk:
        assert talk.actions & miltertalk.ADD_HEADERS
        talk.rcpt("u@secure.test")
        replies = talk.end_of_message()
        assert [reply.command for reply in replies] == ["h", "c"]
        assert "secure=1" in replies[0].text and "secure.test" not in replies[0].text


def rcpt_burst(milter, count):
    """RCPT on `count` connections at once; the seconds that each took and the replies."""
    talks = [milter.talk() for _ in range(count)]
    results = [None] * count

    def one(number):
        began = time.monotonic()
        reply = talks[number].rcpt(f"u@slow{number}.test")
        results[number] = (time.monotonic() - began, reply)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for talk in talks:
        talk.quit()
    return results


@pytest.mark.parametrize("processes", ["1", "8"])
def test_burst_with_slow_policies(start, daemon, processes):
    """Fifty recipients whose policies are being fetched: one a process waits, the others do not."""
    class Slow(dict):
        def get(self, domain, default=None):
            def answer(domain, wait):
                time.sleep(wait / 1000)
                return verdict("pending", domain, "deadline")
            return answer
    daemon.answers = Slow()
    milter = start(processes=processes)
    results = rcpt_burst(milter, 50)
    assert all(reply.accepted for _, reply in results)
    assert max(seconds for seconds, _ in results) < 1.5
    assert any(request.endswith("wait=500") for request in daemon.requests)
    assert any(request.endswith("wait=0") for request in daemon.requests)


def test_budget_is_for_the_whole_message(start, daemon):
    """Ten slow domains in one message wait 500 ms together, not each."""
    def answer(domain, wait):
        time.sleep(wait / 1000)
        return verdict("pending", domain, "deadline")
    daemon.answers = {f"slow{n}.test": answer for n in range(10)}
    milter = start()
    with milter.talk() as talk:
        began = time.monotonic()
        assert all(talk.rcpt(f"u@slow{n}.test").accepted for n in range(10))
        assert time.monotonic() - began < 1
        talk.end_of_message()
        assert talk.rcpt("u@slow0.test").accepted  # the next message has its own
    assert daemon.requests[0].endswith("wait=500") and daemon.requests[-1].endswith("wait=500")


def test_many_cached_recipients_cost_no_budget(start, daemon):
    """A thousand quick answers do not use up the time of the message."""
    daemon.answers = {"refuse.test": ("refuse", "mx-not-listed")}
    with start(wait='"50ms"').talk() as talk:
        assert all(talk.rcpt(f"u@d{n}.test").accepted for n in range(1000))
        assert talk.rcpt("u@refuse.test").code == "451"


def test_child_is_replaced(start, daemon):
    """A child that is killed is replaced, and the socket goes on serving."""
    daemon.answers = dict(VERDICTS)
    milter = start(processes="2")
    wait_until(lambda: len(milter.children) == 2, "two children")
    for _ in range(3):
        victim = milter.children[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(milter.children) == 2 and victim not in milter.children, "a new child")
        assert one_rcpt(milter, "refuse.test").code == "451"
    milter.wait_for_log("was killed by signal 9")


def test_children_follow_a_killed_parent(start, daemon):
    """Without the parent the children end, and the next start takes the socket over."""
    milter = start(processes="2")
    children = wait_until(lambda: len(milter.children) == 2 and milter.children, "two children")
    milter.process.kill()
    milter.process.wait()
    wait_until(lambda: not any(map(is_running, children)), "the end of the children")
    milter.start()
    assert one_rcpt(milter, "none.test").accepted


def test_reload_keeps_sessions(start, daemon):
    """SIGHUP: the message under way keeps its settings, the next one has the new."""
    daemon.answers = dict(VERDICTS)
    milter = start(processes="2")
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
        milter.reload(mode="observe", exempt_domains='{"more.test"}')
        assert talk.rcpt("u@refuse.test").code == "451"
        assert talk.end_of_message()[-1].accepted
        assert talk.rcpt("u@refuse.test").accepted
        assert talk.end_of_message()[-1].accepted
    milter.reload(mode="enforce", on_refuse="reject")
    assert one_rcpt(milter, "refuse.test").code == "550"


def test_reload_moves_to_another_daemon(start, daemon, tmp_path):
    """`cache` is taken by a reload; a child that starts later has it, too."""
    other = FakeDaemon(tmp_path / "other.sock")
    other.answers = {"x.test": ("refuse", "mx-not-listed")}
    milter = start()
    assert one_rcpt(milter, "x.test").accepted
    milter.reload(cache=f'"unix:{other.path}"')
    assert one_rcpt(milter, "x.test").code == "451"
    victim = milter.children[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: milter.children and victim not in milter.children, "a new child")
    assert one_rcpt(milter, "x.test").code == "451"
    other.stop()


def test_bad_reload_changes_nothing(start, daemon):
    """A file that is wrong is refused with its line, and the old settings stay."""
    daemon.answers = dict(VERDICTS)
    milter = start()
    children = wait_until(lambda: milter.children, "a child")
    for option, value in [("mode", "perhaps"), ("cache", '""'), ("exempt_domains", '{ "" }')]:
        good = milter.options.get(option)
        milter.write_config(**{option: value})
        milter.process.send_signal(signal.SIGHUP)
        milter.wait_for_log(rf"error: the old settings stay: .*sts-milter\.conf:\d+: {option.replace('_', '-')}: ")
        assert one_rcpt(milter, "refuse.test").code == "451"
        milter.options.pop(option)
        milter.options.update({option: good} if good else {})
    assert milter.children == children


def test_reload_names_what_needs_a_restart(start):
    """`processes` is not taken by a reload, and the log says so."""
    milter = start()
    milter.write_config(processes="3")
    milter.process.send_signal(signal.SIGHUP)
    milter.wait_for_log("warning: .*processes.*restart")
    milter.wait_for_log("settings were read again")
    assert len(milter.children) == 1


def test_hangup_of_a_child_is_ignored(start, daemon):
    """SIGHUP sent to all processes of that name does not cut the sessions."""
    milter = start()
    with milter.talk() as talk:
        os.kill(milter.children[0], signal.SIGHUP)
        time.sleep(0.3)
        assert talk.rcpt("u@none.test").accepted


def test_stop(start, daemon):
    """SIGTERM: the answer that is under way is given, exit 0, no socket file, quickly."""
    def slow(domain, wait):
        time.sleep(0.4)
        return verdict("refuse", domain, "mx-not-listed")
    daemon.answers = {"slow.test": slow}
    milter = start(processes="4")
    with milter.talk() as talk:
        talk.rcpt_send("u@slow.test")
        time.sleep(0.1)
        code, seconds = milter.stop()
        assert talk.reply().code == "451"
    assert code == 0 and seconds < 3
    assert not os.path.exists(milter.socket)


def test_child_ends_by_sigterm(start):
    """A service manager signals every process: nothing hangs, exit 0."""
    milter = start(processes="2")
    wait_until(lambda: len(milter.children) == 2, "two children")
    for pid in milter.children:
        os.kill(pid, signal.SIGTERM)
    code, seconds = milter.stop()
    assert code == 0 and seconds < 8


def test_can_be_ended_from_the_first_moment(tmp_path, daemon):
    """SIGTERM right when the socket appears: exit 0, no socket file."""
    for number in range(10):
        directory = tmp_path / str(number)
        directory.mkdir()
        milter = Milter(directory, daemon)
        milter.start_at_once()
        assert milter.stop()[0] == 0
        assert not os.path.exists(milter.socket)


def test_socket_mode(start):
    """socket-mode is what the file gets, whatever the umask."""
    milter = start(socket_mode='"0666"')
    assert os.stat(milter.socket).st_mode & 0o777 == 0o666


def test_drops_privileges(start, daemon, tmp_path):
    """`user`: everything runs as that user; reload and stop work."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and parent != pathlib.Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.chmod(daemon.path, 0o666)
    daemon.answers = dict(VERDICTS)
    milter = start(user='"nobody"')
    wait_until(lambda: len(milter.children) == int(milter.options["processes"]), "the children")
    for pid in [milter.process.pid, *milter.children]:
        assert "65534\t65534\t65534\t65534" in pathlib.Path(f"/proc/{pid}/status").read_text()
    milter.config.chmod(0o644)
    milter.reload(on_refuse="reject")
    assert one_rcpt(milter, "refuse.test").code == "550"
    assert milter.stop()[0] == 0
    assert not os.path.exists(milter.socket)


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=False)


def test_starts_without_a_file_on_a_fresh_run():
    """With the defaults alone the folder of the socket is made, and the MTA's user may enter it."""
    fresh = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs fresh /run && exec "$0" -f', PROGRAM]
    with subprocess.Popen(fresh, stderr=subprocess.PIPE, text=True) as process:
        folder = pathlib.Path(f"/proc/{process.pid}/root/run/sts-milter")
        try:
            wait_until(lambda: process.poll() is not None or is_listening(str(folder / "milter.sock")), "the socket")
            assert process.poll() is None, process.stderr.read()
            assert folder.stat().st_mode & 0o777 == 0o755
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_socket_that_cannot_be_bound_is_named(tmp_path):
    """Whatever is wrong with it."""
    config = tmp_path / "c.conf"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for spec, fault in [(f"unix:{tmp_path}/no/such/folder/s", "cannot bind: No such file or directory"),
                            (f"unix:{config}", "exists and is no socket"),
                            (f"inet:{taken.getsockname()[1]}@127.0.0.1", "cannot bind: Address already in use")]:
            config.write_text(f'socket = "{spec}"\n')
            result = run("-f", "-c", str(config))
            assert result.returncode == 1
            assert result.stderr.startswith(f"sts-milter: {spec}: ") and fault in result.stderr, result.stderr


def test_second_start_is_refused(start, tmp_path):
    """A live socket is not taken away, and it is named."""
    milter = start()
    second = run("-f", "-c", str(milter.config))
    assert second.returncode == 1 and second.stderr.startswith(f"sts-milter: unix:{milter.socket}: "), second.stderr
    assert one_rcpt(milter, "none.test").accepted


def test_print_config(tmp_path):
    """What --print-config writes is a file with the same meaning; doubt is shown as the role has it."""
    config = tmp_path / "c.conf"
    config.write_text('role = wall\non-unknown = accept\nexempt-domains = {"A.test", ".b.test"}\nwait = "2s"\n')
    first = run("-c", str(config), "--print-config")
    assert first.returncode == 0, first.stderr
    lines = [" ".join(line.split()) for line in first.stdout.splitlines()]
    for wanted in ["on-pending", "on-cache-down"]:
        assert any(line.startswith(wanted) and "tempfail" in line for line in lines), first.stdout
    assert any(line.startswith("on-unknown") and "accept" in line for line in lines)
    config.write_text(first.stdout)
    assert run("-c", str(config), "--print-config").stdout == first.stdout
    assert run("-t", "-c", str(config)).returncode == 0


BAD_CONFIGS = ["unknown = 1", "role = door", "processes = 0", 'exempt-clients = {"10.0.0.1/8"}', 'exempt-domains = {"a b"}',
               'socket = "http://x"', "wait = \"1h\"", 'cache = "unix:"', "on-refuse = accept", 'cache = ""', 'socket = ""', 'exempt-clients = { "" }', "user = no-such-user",
               "socket-group = no-such-group"]


@pytest.mark.parametrize("line", BAD_CONFIGS)
def test_bad_config(tmp_path, line):
    """No start with a wrong file; file and line are named."""
    config = tmp_path / "c.conf"
    config.write_text(f"mode = enforce\n{line}\n")
    result = run("-t", "-c", str(config))
    assert result.returncode == 1 and f"{config}:2:" in result.stderr, result.stderr


def test_protocol_errors_end_only_their_connection(start):
    """Junk on one connection does not disturb another."""
    milter = start()
    with milter.talk() as talk:
        for junk in [b"\0\0\0\1Z", b"\xff\xff\xff\xffR", b"\0\0\0\5Oabc", b"\0\0\0\2R", b"GET / HTTP/1.0\r\n\r\n"]:
            with socket.socket(socket.AF_UNIX) as broken:
                broken.connect(milter.socket)
                broken.sendall(junk)
        assert talk.rcpt("u@none.test").accepted
