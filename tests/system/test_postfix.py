"""Real Postfix with contrib/postfix as it stands: what is delivered, what waits, what the sender hears at RCPT."""

import pytest
from lab import client
from lab.process import wait_until

BAD = {"wrong-name": "4.7.5", "expired": "4.7.5", "self-signed": "4.7.5", "no-starttls": "4.7.4", "starttls-454": "4.7"}
ELSEWHERE = ["mail.elsewhere.example"]


@pytest.fixture
def mta(lab):
    return lab.postfix()


@pytest.fixture
def bare(lab):
    """Without the milter."""
    return lab.postfix("postfix-bare", "127.0.5.31", ("sts.cf",))


@pytest.mark.parametrize("profile", ["good", "wildcard", "sni-only"])
def test_enforce_delivers(lab, mta, profile):
    domain = lab.domain(profile, mode="enforce", listed=["*.wild.mx.lab.test"] if profile == "wildcard" else None)
    outcome = lab.send(domain.address(), mta=mta)
    assert (outcome.sent, outcome.verify) == (True, "OK"), outcome
    assert lab.mx[profile].sessions_with(domain.address())[-1].sni == lab.mx[profile].host


@pytest.mark.parametrize("profile", BAD)
def test_enforce_defers(lab, mta, profile):
    domain = lab.domain(profile, mode="enforce")
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.code == 250 and outcome.deferred and mta.is_waiting(outcome.queue_id)
    assert outcome.delivery.dsn.startswith(BAD[profile]), outcome.delivery
    lab.mx[profile].wait_for_session()
    assert not lab.mx[profile].sessions_with(domain.address())
    assert not lab.in_clear()


@pytest.mark.parametrize("mode", [None, "testing"])
@pytest.mark.parametrize("profile", BAD)
def test_control_without_enforcement_is_delivered(lab, mta, profile, mode):
    domain = lab.domain(profile, mode=mode)
    assert lab.send(domain.address(), mta=mta).sent
    assert lab.mx[profile].sessions_with(domain.address())


def test_unlisted_mx_is_refused_at_rcpt(lab, mta, bare):
    """The milter tells the sender; without it the message waits, since no certificate bears a listed name."""
    domain = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.code == 451 and "4.7.5" in outcome.text and domain.name in outcome.text
    assert lab.send(domain.address(), mta=bare).deferred
    assert not lab.mx["good"].sessions_with(domain.address())


def test_second_mx(lab, mta):
    """The first MX has an expired certificate: the second takes the mail."""
    domain = lab.domain("expired", "second", mode="enforce")
    outcome = lab.send(domain.address(), mta=mta)
    assert (outcome.sent, outcome.verify) == (True, "OK")
    assert lab.mx["second"].sessions_with(domain.address()) and not lab.mx["expired"].sessions_with(domain.address())


def test_two_domains_in_one_envelope(lab, mta):
    """A plain domain at a bad MX gets its mail, an enforced one at the same MX does not."""
    plain, enforced = lab.domain("self-signed"), lab.domain("self-signed", mode="enforce")
    first, second = lab.send(plain.address(), enforced.address(), mta=mta)
    assert first.sent and second.deferred
    assert lab.mx["self-signed"].sessions_with(plain.address())
    assert not lab.mx["self-signed"].sessions_with(enforced.address())


def test_daemon_down(lab, mta):
    """All mail waits, and goes when the daemon is back."""
    domain = lab.domain("good", mode="enforce")
    lab.daemons.cached.stop()
    outcome = lab.send(domain.address(), mta=mta)
    assert outcome.deferred and not lab.sessions()
    lab.restart_what_is_down()
    mta.run_queue(outcome.queue_id)
    assert mta.wait_for_delivery(outcome.queue_id, domain.address(), attempt=2).sent


def test_upper_case(lab, mta):
    domain = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    outcome = lab.send(domain.address(), mta=mta, wire={domain.address(): f"BOB@{domain.name.upper()}"})
    assert outcome.code == 451


# --- the same verdict at RCPT as with Sendmail ---

def both(lab, mta, recipient, wire=None):
    """The answers at RCPT: Sendmail's, Postfix'."""
    return [lab.send(recipient, mta=one, wire=wire and {recipient: wire}).code for one in (lab.mta, mta)]


def test_same_verdicts(lab, mta):
    """Remote and literal recipients, and an internationalised domain, fare alike with both MTAs."""
    refused = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    good = lab.domain("good", mode="enforce")
    literal = f"bob@[{lab.mx['good'].address}]"
    idn = lab.domain("good", mode="enforce", listed=ELSEWHERE, name="xn--mnchen-3ya.test")
    assert both(lab, mta, refused.address()) == [451, 451]
    assert both(lab, mta, good.address()) == [250, 250]
    assert both(lab, mta, literal) == [250, 250]
    assert both(lab, mta, idn.address()) == [451, 451]


def test_local_recipient_is_not_asked_about(lab, mta):
    """The milter leaves mail for this host alone, with both MTAs."""
    asked = lab.daemons.cached.log_text().count("domain=mta.lab.test")
    replies = [client.submit("root@mta.lab.test", address=one.address).code("root@mta.lab.test") for one in (lab.mta, mta)]
    assert replies == [250, 250]
    assert lab.daemons.cached.log_text().count("domain=mta.lab.test") == asked


def test_utf8_recipient(lab, mta):
    """With SMTPUTF8 Postfix tells the domain as it was typed; the policy is that of its A-label."""
    lab.domain("good", mode="enforce", listed=ELSEWHERE, name="xn--bcher-postfix-wob.test")
    code, text = client.submit("bob@b\u00fccher-postfix.test", address=mta.address, utf8=True).replies["bob@b\u00fccher-postfix.test"]
    assert code == 451 and "xn--bcher-postfix-wob.test" in text


@pytest.fixture
def milter(lab):
    """sts-milter with further lines in its configuration, for one test."""
    def configure(more):
        lab.daemons.milter.stop()
        lab.daemons.configure_milter(more)
        lab.daemons.milter.start()
    yield configure
    configure("")


@pytest.fixture(params=["postfix", "sendmail"])
def either(request, lab):
    return lab.postfix() if request.param == "postfix" else lab.mta


def test_quarantine(lab, either, milter):
    """The whole message is held, and nothing of it leaves, with Sendmail as well."""
    milter('on-refuse = "quarantine"\n')
    domain = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    submission = client.submit(domain.address(), address=either.address)
    assert submission.code(domain.address()) == 250
    wait_until(lambda: either.is_held(submission.queue_id), "it is not held")
    assert not lab.sessions()


def test_observing_milter_refuses_nothing(lab, either, milter):
    """What it would have refused is in its log; the policy map keeps the message all the same."""
    milter('mode = "observe"\n')
    domain = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    outcome = lab.send(domain.address(), mta=either)
    assert outcome.code == 250 and outcome.deferred
    assert f"{domain.name}" in lab.daemons.milter.log_text()
    assert not lab.mx["good"].sessions_with(domain.address())


def test_routed_recipient(lab):
    """With a route the next hop counts, as written in transport_maps; with a relayhost, that."""
    refused, good = lab.domain("good", mode="enforce", listed=ELSEWHERE), lab.domain("good", mode="enforce")
    routed = lab.postfix("postfix-routed", "127.0.5.32", more=(
        f"transport_maps = inline:{{ {{ there.test = smtp:[{refused.name}]:25 }} {{ here.test = smtp:{good.name} }} }}\n"))
    assert lab.send("bob@there.test", mta=routed).code == 451
    outcome = lab.send("bob@here.test", mta=routed)
    assert (outcome.sent, outcome.verify) == (True, "OK")


def test_smart_host(lab):
    """The recipients' policies are the smart host's business."""
    refused = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    smart = lab.postfix("postfix-smart", "127.0.5.33", more=f"relayhost = [{lab.mx['second'].host}]\n")
    outcome = lab.send(refused.address(), mta=smart)
    assert outcome.code == 250 and outcome.sent
    assert lab.mx["second"].sessions_with(refused.address())
