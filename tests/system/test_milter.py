"""sts-milter as an MTA and an operator see it: the real program, a fake cache daemon."""

import socket
import threading
import time

import pytest

import miltertalk
from lab import sanitizer
from milterlab import FakeDaemon, Milter, verdict, wait_until


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
    milter.wait_for_log(f"warning: no verdicts, on-cache-down applies: unix:{daemon.path}: "
                        "the cache daemon cannot be reached: ")
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


def test_protocol_errors_end_only_their_connection(start):
    """Junk on one connection does not disturb another."""
    milter = start()
    with milter.talk() as talk:
        for junk in [b"\0\0\0\1Z", b"\xff\xff\xff\xffR", b"\0\0\0\5Oabc", b"\0\0\0\2R", b"GET / HTTP/1.0\r\n\r\n"]:
            with socket.socket(socket.AF_UNIX) as broken:
                broken.connect(milter.socket)
                broken.sendall(junk)
        assert talk.rcpt("u@none.test").accepted
