"""Spellings of a domain that must not pass by its policy, and next hops that have none."""

import pathlib

from lab import sendmail
from lab.world import CONTRIB


def test_upper_case(lab):
    """A recipient typed in capitals is under the same policy."""
    refused = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    outcome = lab.send(refused.address(), wire={refused.address(): f"BOB@{refused.name.upper()}"})
    assert outcome.code == 451
    good = lab.domain("good", mode="enforce")
    upper = good.name.upper()
    outcome = lab.send(f"BOB@{upper}")
    assert (outcome.sent, outcome.verify) == (True, "OK")
    assert lab.mx["good"].sessions[-1].sni == lab.mx["good"].host


def test_upper_case_mx_in_dns(lab):
    """MX records and policies spelled in capitals match each other."""
    domain = lab.domain("good", mode="enforce", listed=["GOOD.MX.Lab.Test"])
    lab.dns.change({(domain.name, "MX"): ["10 GOOD.mx.LAB.test."]})
    outcome = lab.send(domain.address())
    assert (outcome.code, outcome.sent, outcome.verify) == (250, True, "OK")


def test_international_domain(lab):
    """An internationalised domain is enforced by its A-label; the operator may ask by the U-label."""
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"], name="xn--bcher-kva.test")
    assert lab.send(domain.address()).code == 451
    assert not lab.sessions()
    answer = lab.daemons.query("b\u00fccher.test")
    assert (answer["domain"], answer["verdict"]) == (domain.name, "refuse")


def test_address_literal(lab):
    """Mail to an address literal has no policy and is delivered there."""
    literal = f"bob@[{lab.mx['self-signed'].address}]"
    outcome = lab.send(literal)
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.mx["self-signed"].sessions_with(literal)


def test_smart_host(lab):
    """Behind an exempt smart host the recipients' policies are its business: all goes to it."""
    mta = lab.smart_host_mta("second")
    domain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    outcome = lab.send(domain.address(), mta=mta)
    assert (outcome.code, outcome.sent) == (250, True)
    assert lab.mx["second"].sessions_with(domain.address())
    assert not lab.mx["good"].sessions


def test_control_smart_host_that_is_not_exempt(lab):
    """The control: without the exemption the recipient's policy holds the mail back."""
    mta = lab.smart_host_mta("second", exempt=False)
    domain = lab.domain("good", mode="enforce")
    assert lab.send(domain.address(), mta=mta).deferred
    assert not lab.mx["second"].sessions_with(domain.address())


def test_routed_recipient(lab, tmp_path):
    """With a route the milter asks about the next hop, as with Postfix (test_postfix.py): refused where that
    domain's policy lists none of its MX hosts, whatever the recipient's own has."""
    refused, plain = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"]), lab.domain("good")
    table, sample = pathlib.Path("/etc/mail/routes"), tmp_path / "routed.mc"
    table.write_text(f"there.test esmtp:{refused.name}\nhere.test esmtp:{plain.name}\n")
    lines = (CONTRIB / "sendmail.mc").read_text()
    sample.write_text(lines.replace("MAILER(`local')", f"FEATURE(`mailertable', `text -o -k0 -v1 -T<TMPF> {table}')dnl\nMAILER(`local')"))
    mta = sendmail.Sendmail("routed", sample, lab, "127.0.5.51").start()
    try:
        answer = lab.send("bob@there.test", mta=mta)
        assert answer.code == 451 and refused.name in answer.text
        assert lab.send("bob@here.test", mta=mta).sent
        assert [one.mx for one in lab.sessions()] == ["good"]
    finally:
        mta.stop()
