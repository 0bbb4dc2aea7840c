"""stories - what happens to one domain over time (DESIGN 2, 4; requirements F). Each is a function that
takes the Internet, has a domain of its own, and asserts; they run side by side."""

import concurrent.futures
import time

from vectors.asker import Asker, frame, verdict_fields
from vectors.dnsserver import NXDOMAIN, SERVFAIL, address, txt
from vectors.internet import ANSWER_DEADLINE, FETCH_TIMEOUT, GOOD_RECORD, policy
from vectors.policyserver import OTHER_ADDRESS, Host, http

WORKERS = 24
AT_ONCE = 1.5  # seconds, on a busy machine with a slow build


def word(internet, key):
    got = internet.verdict(key)
    return f"{got['verdict']} {got['reason']}"


def timed(ask):
    start = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - start


def served(domain, body):
    return http(body.replace("DOMAIN", domain))


def wait_for_verdict(internet, domain):
    """The first firm word on the domain, however busy the machine."""
    for _ in range(5):
        answer = word(internet, domain)
        if not answer.endswith(" deadline"):
            break
    return answer


def known_domain(internet, **options):
    domain = internet.new_domain()
    host = internet.publish(domain, **options)
    answer = wait_for_verdict(internet, domain)
    assert answer == "secure ok", answer
    return domain, host


def txt_of(*records, **options):
    return lambda internet, domain, _host: internet.dns.put(f"_mta-sts.{domain}", "TXT", *map(txt, records), **options)


def policy_host(*addresses, **options):
    return lambda internet, domain, _host: internet.dns.put(
        f"mta-sts.{domain}", "A", *map(address, addresses), **options)


def reply(make):
    def change(_internet, domain, host):
        host.raw = make(policy().replace("DOMAIN", domain))
    return change


def host_is(**values):
    def change(_internet, _domain, host):
        for key, value in values.items():
            setattr(host, key, value)
    return change


def expired(internet, domain, host):
    host.certificate = internet.certificates.issue(domain, [f"mta-sts.{domain}"], days=-1)


# What may go wrong with a domain whose policy is cached, and whether a fetch can still succeed.
FAULTS = {
    "TXT vanished": (txt_of(), True),
    "TXT: NXDOMAIN": (txt_of(rcode=NXDOMAIN), True),
    "TXT: SERVFAIL": (txt_of(rcode=SERVFAIL), True),
    "TXT silent": (txt_of(fault="silent"), True),
    "TXT: garbage": (txt_of(fault="garbage"), True),
    "TXT doubled": (txt_of("v=STSv1; id=2;", "v=STSv1; id=3;"), True),
    "TXT broken": (txt_of("v=STSv1; id=?"), True),
    "policy host: NXDOMAIN": (policy_host(rcode=NXDOMAIN), False),
    "policy host: SERVFAIL": (policy_host(rcode=SERVFAIL), False),
    "policy host refuses": (policy_host("127.0.0.77"), False),
    "policy host is private": (policy_host("10.1.2.3"), False),
    "policy host hangs": (host_is(raw=b"", end="hang"), False),
    "certificate expired": (expired, False),
    "404": (reply(lambda body: http(body, status="404 Not Found")), False),
    "410": (reply(lambda body: http(body, status="410 Gone")), False),
    "500": (reply(lambda body: http(body, status="500 Error")), False),
    "redirect": (reply(lambda body: http(body, status="302 Found", headers=("Location: https://evil.test/",))), False),
    "HTML": (reply(lambda body: http(body, kind="text/html")), False),
    "body cut": (reply(lambda body: http(body, length=9999)), False),
    "body empty": (reply(lambda body: http("")), False),
    "body too large": (reply(lambda body: http(body + "\n" * 70000)), False),
    "body invalid": (reply(lambda body: http(body.replace("enforce", "Enforce"))), False),
    "body with one bad mx": (reply(lambda body: http(body + "mx: *\n")), False),
}


def survival(fault, order):
    """A cached policy stays in force whatever happens to its source (RFC 8461 s3.1, s3.3)."""
    change, may_fetch = FAULTS[fault]

    def story(internet):
        domain, host = known_domain(internet)
        change(internet, domain, host)
        done = internet.daemon.stsctl(order, domain)
        assert done.returncode == (0 if may_fetch else 2), (done.returncode, done.stdout, done.stderr)
        got = internet.verdict(domain)
        assert (got["verdict"], got["id"], got["mode"]) == ("secure", "1", "enforce"), got
        assert internet.ask(f"sts {domain}") == f"OK secure match=mx.{domain} servername=hostname"
    story.__name__ = f"{order}: {fault}"
    return story


def replacement(name, new, want):
    """A newly fetched valid policy replaces the old one at once, a weaker one, too."""
    def story(internet):
        domain, host = known_domain(internet)
        internet.dns.put(f"_mta-sts.{domain}", "TXT", txt("v=STSv1; id=2;"))
        host.raw = served(domain, new)
        assert internet.daemon.stsctl("refresh", domain).returncode == 0
        got = internet.verdict(domain)
        assert (got["verdict"], got["max_age"], got["id"]) == (*want, "2"), got
    story.__name__ = f"replaced: {name}"
    return story


def new_body_with_the_old_id(internet):
    domain, host = known_domain(internet)
    host.raw = served(domain, policy("testing"))
    assert internet.daemon.stsctl("refresh", domain).returncode == 0
    assert word(internet, domain) == "testing ok"


def forced_flush_forgets(internet):
    domain, host = known_domain(internet)
    internet.dns.remove(f"_mta-sts.{domain}", "TXT")
    host.raw = http("", status="404 Not Found")
    internet.daemon.stsctl("flush", "--force", domain)
    assert word(internet, domain) == "none no-record"


def failure_is_remembered(internet):
    domain = internet.new_domain()
    host = internet.publish(domain, status="503 Busy")
    assert word(internet, domain) == "none http-status"
    for _ in range(5):
        answer, seconds = timed(lambda: word(internet, domain))
        assert answer == "none http-status" and seconds < AT_ONCE, (answer, seconds)
    assert len(host.requests) == 1, host.requests


def refresh_forgets_the_failure(internet):
    domain = internet.new_domain()
    host = internet.publish(domain, status="503 Busy")
    assert word(internet, domain) == "none http-status"
    host.raw = served(domain, policy())
    assert internet.daemon.stsctl("refresh", domain).returncode == 0
    assert word(internet, domain) == "secure ok"


def hanging(name, host):
    """The first fetch hangs: pending, a deferral, until it has ended; then none, at once, its mail flows."""
    def story(internet):
        domain = internet.new_domain()
        internet.publish(domain, host=host)
        start = time.monotonic()
        answer, seconds = timed(lambda: word(internet, f"{domain} wait=300"))
        assert answer == "pending deadline" and 0.2 < seconds < 0.3 + AT_ONCE, (answer, seconds)
        answer, seconds = timed(lambda: internet.ask(f"sts {domain}"))
        assert answer.startswith("TEMP ") and seconds < ANSWER_DEADLINE + AT_ONCE, (answer, seconds)
        answer, seconds = timed(lambda: internet.ask(f"postfix {domain}"))
        if time.monotonic() - start < FETCH_TIMEOUT:
            assert answer.startswith("TEMP ") and seconds < AT_ONCE, (answer, seconds)
        time.sleep(max(0, start + FETCH_TIMEOUT + AT_ONCE - time.monotonic()))
        answer, seconds = timed(lambda: word(internet, domain))
        assert answer == "none timeout" and seconds < AT_ONCE, (answer, seconds)
        assert internet.ask(f"sts {domain}") == "NOTFOUND "
        assert len(host.requests) <= 1, "fetched again"
    story.__name__ = f"hanging: {name}"
    return story


def unknown_is_not_none(internet):
    """SERVFAIL is remembered as unknown, answered at once, and not asked again by every question."""
    domain = internet.new_domain()
    internet.publish(domain)
    internet.dns.put(f"_mta-sts.{domain}", "TXT", rcode=SERVFAIL)
    assert word(internet, domain) == "unknown dns-servfail"
    asked = internet.dns.count(f"_mta-sts.{domain}", "TXT")
    internet.dns.put(f"_mta-sts.{domain}", "TXT", txt(GOOD_RECORD))
    for _ in range(5):
        answer, seconds = timed(lambda: word(internet, domain))
        assert answer == "unknown dns-servfail" and seconds < AT_ONCE
    assert internet.dns.count(f"_mta-sts.{domain}", "TXT") == asked
    assert internet.daemon.stsctl("refresh", domain).returncode == 0
    assert word(internet, domain) == "secure ok"


def none_is_remembered(internet):
    domain = internet.new_domain()
    internet.publish(domain, records=())
    for _ in range(5):
        assert word(internet, domain) == "none no-record"
    assert internet.dns.count(f"_mta-sts.{domain}", "TXT") == 1
    assert internet.dns.count(f"mta-sts.{domain}", "A") == 0


def hanging_hosts_hold_up_nobody_else(internet):
    """More domains on one address that never answers than fetches may run to its network, which is a quarter of all;
    the address beside it does."""
    good, hanging_ones = internet.new_domain(), [f"h{n}.hanging.test" for n in range(80)]
    internet.publish(good)
    for bad in hanging_ones:
        internet.publish(bad, host=Host(b"", end="hang-tls"))
        internet.dns.put(f"mta-sts.{bad}", "A", address(OTHER_ADDRESS))
    with Asker(internet.daemon.query_socket) as asker:
        asker.socket.sendall(b"".join(frame(f"verdict {bad} wait=0") for bad in hanging_ones))
        reasons = {verdict_fields(asker.receive())["reason"] for _ in hanging_ones}
    assert reasons == {"deadline"}, reasons
    time.sleep(0.7)  # until they are connected to
    answer = word(internet, good)
    assert answer == "secure ok", answer


def new_id_counts_when_fetched(internet):
    """A new id whose fetch fails changes nothing; the one that succeeds replaces id and policy."""
    domain, host = known_domain(internet)
    internet.dns.put(f"_mta-sts.{domain}", "TXT", txt("v=STSv1; id=2;"))
    host.raw = http("", status="500 Error")
    assert internet.daemon.stsctl("refresh", domain).returncode == 2
    assert internet.verdict(domain)["id"] == "1"
    host.raw = served(domain, policy("testing"))
    assert internet.daemon.stsctl("refresh", domain).returncode == 0
    got = internet.verdict(domain)
    assert (got["verdict"], got["id"]) == ("testing", "2"), got


def late_asker_is_answered_at_once(internet):
    """Who joins a resolution that is older than the deadline has no time left (Sendmail asks 3-5 times)."""
    domain = internet.new_domain()
    internet.publish(domain, host=Host(b"", end="hang"))
    askers = [Asker(internet.daemon.query_socket) for _ in range(20)]
    start = time.monotonic()
    for asker in askers:
        asker.send(f"sts {domain}")
    answers = {asker.receive()[:5] for asker in askers}
    assert answers == {"TEMP "} and time.monotonic() - start < ANSWER_DEADLINE + AT_ONCE, answers
    _, seconds = timed(lambda: internet.ask(f"sts {domain}"))
    assert seconds < 0.7, seconds


def hundred_askers_one_fetch(internet):
    domain = internet.new_domain()
    host = internet.publish(domain)
    host.before = 0.8
    askers = [Asker(internet.daemon.query_socket) for _ in range(100)]
    for asker in askers:
        asker.send(f"verdict {domain}")
    words = {verdict_fields(asker.receive())["verdict"] for asker in askers}
    assert words == {"secure"}, words
    for asker in askers:
        asker.socket.close()
    assert len(host.requests) == 1 and internet.dns.count(f"_mta-sts.{domain}", "TXT") == 1
    assert internet.dns.count(domain, "MX") == 1


def no_time_to_wait(internet):
    """wait=0 is answered at once, and the work goes on behind it."""
    domain = internet.new_domain()
    internet.publish(domain).before = 0.3
    answer, seconds = timed(lambda: word(internet, f"{domain} wait=0"))
    assert answer in ("unknown deadline", "pending deadline") and seconds < AT_ONCE, (answer, seconds)
    time.sleep(0.3 + AT_ONCE)
    assert wait_for_verdict(internet, domain) == "secure ok"
    assert internet.dns.count(f"_mta-sts.{domain}", "TXT") == 1


def refusal_is_checked_anew(internet):
    """Before mail is held back, TXT is asked again (not within 10 s), and a new id is fetched."""
    domain = internet.new_domain()
    host = internet.publish(domain, body=policy(mx_hosts=("old.DOMAIN",)))
    assert word(internet, domain) == "refuse mx-not-listed"
    assert word(internet, domain) == "refuse mx-not-listed"
    assert len(host.requests) == 1
    internet.dns.put(f"_mta-sts.{domain}", "TXT", txt("v=STSv1; id=2;"))
    host.raw = served(domain, policy())
    time.sleep(10.5)
    got = internet.verdict(domain)
    assert (got["verdict"], got["id"]) == ("secure", "2"), got


def refusal_stands_without_a_record(internet):
    """Neither a vanished record nor SERVFAIL ends a refusal: that is what an attacker would do."""
    domain = internet.new_domain()
    internet.publish(domain, body=policy(mx_hosts=("old.DOMAIN",)))
    assert word(internet, domain) == "refuse mx-not-listed"
    internet.dns.put(f"_mta-sts.{domain}", "TXT")
    asked = internet.dns.count(f"_mta-sts.{domain}", "TXT")
    time.sleep(10.5)
    assert word(internet, domain) == "refuse mx-not-listed"
    assert internet.dns.count(f"_mta-sts.{domain}", "TXT") > asked
    internet.dns.put(f"_mta-sts.{domain}", "TXT", rcode=SERVFAIL)
    assert word(internet, domain) == "refuse mx-not-listed"


def short_life_is_a_minute(internet):
    domain, host = known_domain(internet, body=policy(max_age="1"))
    host.raw = http("", status="500 Error")
    internet.dns.put(f"_mta-sts.{domain}", "TXT")
    time.sleep(3)
    got = internet.verdict(domain)
    assert (got["verdict"], got["max_age"], got["source"]) == ("secure", "1", "memory"), got


def source_is_told(internet):
    """The first answer comes from the fetch, the next from memory."""
    domain = internet.new_domain()
    internet.publish(domain)
    assert [internet.verdict(domain)["source"] for _ in range(2)] == ["fetch", "memory"]


def expiry_is_after_max_age(internet):
    domain, _ = known_domain(internet, body=policy(max_age="7200"))
    left = int(internet.verdict(domain)["expires"]) - time.time()
    assert 7100 < left <= 7202, left


def parent_is_not_asked(internet):
    domain, _ = known_domain(internet, body=policy(mx_hosts=("*.DOMAIN", "mx.DOMAIN")))
    assert word(internet, f"sub.{domain}") == "none no-record"
    assert internet.ask(f"sts .{domain}") == "NOTFOUND "


def spellings_are_one_domain(internet):
    domain, host = known_domain(internet)
    for key in (domain.upper(), domain + ".", f"A@{domain.title()}", domain.swapcase() + ".:25"):
        got = internet.verdict(key)
        assert (got["verdict"], got["domain"]) == ("secure", domain), (key, got)
    assert len(host.requests) == 1


def u_label_is_its_a_label(internet):
    domain = internet.new_domain()
    internet.dns.put(f"_mta-sts.xn--bcher-kva.{domain}", "TXT", txt(GOOD_RECORD))
    for key in (f"bücher.{domain}", f"BÜCHER.{domain}", f"xn--bcher-kva.{domain}", f"XN--BCHER-KVA.{domain}"):
        got = internet.verdict(key)
        assert got["domain"] == f"xn--bcher-kva.{domain}" and got["reason"] == "no-host", (key, got)
    assert internet.dns.count(f"_mta-sts.xn--bcher-kva.{domain}", "TXT") == 1


def nothing_is_rolled_back(internet):
    """Whoever forges DNS and silences the policy host brings back neither an old policy nor none."""
    domain, host = known_domain(internet)
    internet.dns.put(f"_mta-sts.{domain}", "TXT", txt("v=STSv1; id=2;"))
    host.raw = served(domain, policy(mx_hosts=("mx.DOMAIN", "second.DOMAIN")))
    assert internet.daemon.stsctl("refresh", domain).returncode == 0
    host.raw = http("", status="503 Away")
    for record in (("v=STSv1; id=1;",), (), ("v=STSv1; id=3;",), ("v=STSv1; id=1;",)):
        internet.dns.put(f"_mta-sts.{domain}", "TXT", *map(txt, record))
        assert internet.daemon.stsctl("refresh", domain).returncode == 2
        got = internet.verdict(domain)
        assert (got["verdict"], got["id"], got["mx"]) == ("secure", "2", f"mx.{domain},second.{domain}"), got


STORIES = [  # the slow ones first
    nothing_is_rolled_back,
    refusal_is_checked_anew, refusal_stands_without_a_record, late_asker_is_answered_at_once,
    hanging("no answer", Host(b"", end="hang")),
    hanging("no TLS", Host(b"", end="hang-tls")),
    hanging("half an answer", Host(http("version: STSv1\n", length=500), end="hang")),
    hanging("byte by byte", Host(http(policy() + "x: y\n" * 100), drip=1, pause=0.2)),
    hanging_hosts_hold_up_nobody_else, short_life_is_a_minute,
    *(survival(fault, "refresh") for fault in FAULTS),
    *(survival(fault, "flush")
      for fault in ("TXT vanished", "TXT: SERVFAIL", "policy host: NXDOMAIN", "404", "body invalid")),
    replacement("by testing", policy("testing"), ("testing", "86400")),
    replacement("by none", policy("none", max_age="60"), ("none", "60")),
    replacement("by another host", policy(mx_hosts=("other.test",)), ("refuse", "86400")),
    replacement("by a shorter life", policy(max_age="600"), ("secure", "600")),
    new_body_with_the_old_id, new_id_counts_when_fetched, forced_flush_forgets, failure_is_remembered,
    refresh_forgets_the_failure, unknown_is_not_none, none_is_remembered, hundred_askers_one_fetch, no_time_to_wait,
    source_is_told, expiry_is_after_max_age, parent_is_not_asked, spellings_are_one_domain, u_label_is_its_a_label,
]


def run_stories(internet, stories):
    """Tells many of them at the same time; returns the faults."""
    def run(story):
        try:
            story(internet)
        except Exception as error:  # pylint: disable=broad-exception-caught
            trace = error.__traceback__
            while trace.tb_next:
                trace = trace.tb_next
            return f"{story.__name__}: line {trace.tb_lineno}: {type(error).__name__} {error}"
        return None

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return [fault for fault in pool.map(run, stories) if fault]
