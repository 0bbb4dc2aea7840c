"""stsctl check on good and bad domains: each layer's fault is named, with what to do, and told by the status."""

import json
import subprocess

import pytest

TLSRPT = "v=TLSRPTv1; rua=mailto:reports@lab.test"
WEEK = 604800


def checked(lab, *words):
    """The JSON of a check and the exit status."""
    result = lab.daemons.stsctl("--json", "check", *words)
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["exit"] == result.returncode
    return report


def lines(report, layer, status):
    return [line for line in report["checks"] if (line["layer"], line["status"]) == (layer, status)]


def good_domain(lab, *mx, mode="enforce", **details):
    domain = lab.domain(*(mx or ("good",)), mode=mode, max_age=WEEK, **details)
    lab.dns.set_txt(f"_smtp._tls.{domain.name}", TLSRPT)
    return domain


def publish(lab, domain, *policy):
    lab.policies.publish(domain.name, "".join(line + "\n" for line in policy))


def test_good_domain(lab):
    """All layers are well, in text and in JSON, and nothing is remembered of the look."""
    domain = good_domain(lab)
    report = checked(lab, domain.name.upper() + ".")
    assert (report["status"], report["exit"], report["mode"]) == ("ok", 0, "enforce"), report
    assert (report["domain"], report["id"], report["max_age"]) == (domain.name, "00000001", WEEK)
    assert {line["layer"] for line in report["checks"]} >= {"txt", "fetch", "policy", "mx", "tls", "tlsrpt"}
    assert all(line["status"] == "ok" and line["text"] for line in report["checks"])
    text = lab.daemons.stsctl("check", domain.name)
    assert text.returncode == 0
    assert f"ok       mx      good.mx.lab.test: listed in the policy by good.mx.lab.test\n" in text.stdout
    assert text.stdout.endswith(f"{domain.name}: mode enforce, errors: 0, warnings: 0\n")
    assert lab.daemons.stsctl("show", domain.name).returncode == 1


def test_nothing_is_taken_from_the_cache(lab):
    """A policy in force does not hide that its file is gone; and it stays in force."""
    domain = good_domain(lab)
    assert lab.daemons.verdict(domain.name) == ("secure", "ok")
    lab.policies.set_status(domain.name, 404)
    assert checked(lab, domain.name)["exit"] == 3
    assert lab.daemons.verdict(domain.name) == ("secure", "ok")


def no_record(lab, domain):
    lab.dns.set_txt(f"_mta-sts.{domain.name}")


def near_record(lab, domain):
    lab.dns.set_txt(f"_mta-sts.{domain.name}", "V=STSv1; id=1;", "v=spf1 -all")


def several_records(lab, domain):
    lab.dns.set_txt(f"_mta-sts.{domain.name}", "v=STSv1; id=1;", "v=STSv1; id=2;")


def bad_record(lab, domain):
    lab.dns.set_txt(f"_mta-sts.{domain.name}", "v=STSv1; id=2026-08-01;")


def servfail(lab, domain):
    lab.dns.servfail(f"_mta-sts.{domain.name}")


def no_policy_host(lab, domain):
    lab.dns.change({(f"mta-sts.{domain.name}", "A"): []})


def refused(lab, domain):
    lab.dns.change({(f"mta-sts.{domain.name}", "A"): ["127.0.5.81"]})


def private_address(lab, domain):
    lab.dns.change({(f"mta-sts.{domain.name}", "A"): ["10.0.0.1"]})


def other_name(lab, domain):
    lab.policies.borrow_certificate(domain.name, good_domain(lab).name)


def status_404(lab, domain):
    lab.policies.set_status(domain.name, 404)


def status_503(lab, domain):
    lab.policies.set_status(domain.name, 503)


def bad_file(lab, domain):
    publish(lab, domain, "version: STSv1", "mode: Enforce", "mx: good.mx.lab.test", "max_age: 604800")


def bad_mx_line(lab, domain):
    publish(lab, domain, "version: STSv1", "mode: enforce", "mx: good_mx.lab.test", "max_age: 604800")


def unlisted(lab, domain):
    publish(lab, domain, "version: STSv1", "mode: enforce", "mx: *.elsewhere.test", "max_age: 604800")


def null_mx(lab, domain):
    lab.dns.change({(domain.name, "MX"): ["0 ."]})


def mode_none(lab, domain):
    publish(lab, domain, "version: STSv1", "mode: none", "max_age: 60")


FAULTS = [
    (no_record, 1, "txt", "error", "no-record", "publish a TXT record"),
    (near_record, 1, "txt", "warning", None, "V=STSv1"),
    (several_records, 3, "txt", "error", "several-records", "leave one"),
    (bad_record, 3, "txt", "error", "bad-record", "other than letters and digits"),
    (servfail, 2, "txt", "error", "dns-servfail", "name servers"),
    (no_policy_host, 3, "fetch", "error", "no-host", "A or AAAA"),
    (refused, 2, "fetch", "error", "connect-refused", "port 443"),
    (private_address, 2, "fetch", "error", "connect-blocked", "public address"),
    (other_name, 3, "fetch", "error", "tls-name", "subjectAltName"),
    (status_404, 3, "fetch", "error", "http-status", "404"),
    (status_503, 2, "fetch", "error", "http-status", "503"),
    (bad_file, 3, "policy", "error", "policy-invalid", "line 2"),
    (bad_mx_line, 3, "policy", "error", "policy-invalid", "line 3"),
    (unlisted, 3, "mx", "error", "mx-not-listed", "add it to the policy"),
    (unlisted, 3, "mx", "warning", None, "*.elsewhere.test"),
    (null_mx, 3, "mx", "error", "null-mx", "mode none"),
    (mode_none, 1, "policy", "warning", None, "mode none"),
]


@pytest.mark.parametrize("break_it, status, layer, kind, reason, words", FAULTS,
                         ids=[f"{row[0].__name__}-{row[3]}" for row in FAULTS])
def test_faults(lab, break_it, status, layer, kind, reason, words):
    """Each fault stands in its layer with its cause and its remedy, and alone decides the exit status."""
    domain = good_domain(lab)
    break_it(lab, domain)
    report = checked(lab, domain.name)
    found = [line for line in lines(report, layer, kind) if line["reason"] == reason]
    assert any(words in f'{line["text"]} {line["advice"]}' for line in found), report
    assert report["exit"] == status
    errors = {line["layer"] for line in report["checks"] if line["status"] == "error"}
    assert errors <= {layer} if kind == "error" else True, report


TLS = [
    ("wildcard", 0, "ok", "ok", "STARTTLS and certificate are right"),
    ("sni-only", 0, "ok", "ok", "STARTTLS and certificate are right"),
    ("wrong-name", 3, "error", "tls-name", "for another name"),
    ("expired", 3, "error", "tls-expired", "has expired"),
    ("self-signed", 3, "error", "tls-untrusted", "not trusted"),
    ("cn-only", 3, "error", "tls-name", "for another name"),
    ("no-starttls", 3, "error", "tls-handshake", "STARTTLS"),
    ("starttls-454", 3, "error", "tls-handshake", "454"),
]


@pytest.mark.parametrize("profile, status, kind, reason, words", TLS, ids=[row[0] for row in TLS])
def test_tls_of_mx_hosts(lab, profile, status, kind, reason, words):
    """Each MX host is connected to: what is wrong with its TLS stands at its name, and no envelope is sent."""
    domain = good_domain(lab, "good", profile)
    report = checked(lab, domain.name)
    line = next(line for line in report["checks"] if (line["layer"], line["subject"]) == ("tls", lab.mx[profile].host))
    assert (line["status"], line["reason"]) == (kind, reason) and words in line["text"], line
    assert line["advice"] if status else line["expires"]
    assert report["exit"] == status and len(lines(report, "tls", "ok")) == 2 - (status > 0)
    assert not {verb for session in lab.sessions() for verb, _, _ in session.commands} & {"MAIL", "RCPT", "DATA"}


def test_mx_host_that_is_down(lab):
    """A host that cannot be reached may come back: the status says so."""
    domain = good_domain(lab)
    lab.dns.change({("down.mx.lab.test", "A"): ["127.0.5.99"], (domain.name, "MX"): ["10 down.mx.lab.test."]})
    publish(lab, domain, "version: STSv1", "mode: enforce", "mx: down.mx.lab.test", "max_age: 604800")
    report = checked(lab, domain.name)
    assert lines(report, "tls", "error")[0]["reason"] == "connect-refused" and report["exit"] == 2
    lab.dns.change({("down.mx.lab.test", "A"): []})
    assert lines(checked(lab, domain.name), "tls", "error")[0]["reason"] == "no-host"


def test_lint(lab):
    """What is no error but will bite is warned of, with the line where it stands."""
    domain = good_domain(lab)
    publish(lab, domain, "version: STSv1", "mode: enforce", "Max-Age: 1", "colour: blue", "", "mx: good.mx.lab.test",
            "mode: testing", "mx: localhost", "max_age: 3600")
    lab.dns.set_txt(f"_smtp._tls.{domain.name}", "v=TLSRPTv1; rua=reports@lab.test")
    report = checked(lab, domain.name)
    warnings = "\n".join(f'{line["text"]}; {line["advice"]}' for line in lines(report, "policy", "warning"))
    for part in ('line 3: the key "Max-Age" is not known, "max_age" is', 'line 4: the key "colour" is not known',
                 "line 5 is blank", "line 7: mode stands there twice", 'line 8: mx "localhost" can match no host',
                 "max_age 3600 is less than a day"):
        assert part in warnings, warnings
    assert "not a URI" in lines(report, "tlsrpt", "warning")[0]["text"]
    assert (report["exit"], report["status"]) == (0, "warning")


def test_crlf_and_lf_are_both_right(lab):
    """RFC 8461 s3.2 allows either."""
    domain = good_domain(lab)
    for end in ("\r\n", "\n"):
        lab.policies.publish(domain.name, end.join(
            ("version: STSv1", "mode: enforce", "mx: good.mx.lab.test", "max_age: 604800", "")))
        assert not lines(checked(lab, domain.name), "policy", "warning")


def test_testing_only_warns(lab):
    """Under mode testing nothing is held back, so nothing is an error."""
    domain = good_domain(lab, mode="testing", listed=["*.elsewhere.test"])
    report = checked(lab, domain.name)
    assert report["exit"] == 0 and lines(report, "mx", "warning")[0]["reason"] == "mx-not-listed"
    bad = checked(lab, good_domain(lab, "expired", mode="testing").name)
    assert bad["exit"] == 0 and lines(bad, "tls", "warning")[0]["reason"] == "tls-expired"


def test_foreign_text_is_escaped(lab):
    """A record and a file that hold terminal sequences are shown, and do nothing."""
    domain = good_domain(lab)
    lab.dns.set_txt(f"_mta-sts.{domain.name}", "v=STSv1; id=\\027[2J;")
    publish(lab, domain, "version: STSv1", "mode: enforce", "x\x1b[31m: y", "mx: good.mx.lab.test", "max_age: 604800")
    result = lab.daemons.stsctl("check", domain.name)
    assert "\\x1B[2J" in result.stdout and "\x1b" not in result.stdout + result.stderr
    assert result.stdout.isascii()


def test_names(lab):
    """U-labels are looked up as A-labels; what is no domain is refused with its exit status."""
    good = good_domain(lab, name="xn--mnchen-3ya.test")
    assert checked(lab, "MÜNCHEN.test")["domain"] == good.name
    for word in ("192.0.2.1", ".test", "a_b.test", "a..test", "-"):
        result = lab.daemons.stsctl("check", word)
        assert result.returncode == 64 and "not a domain" in result.stderr, (word, result.stderr)
    assert lab.daemons.stsctl("check").returncode == 64


def test_slow_domain_holds_nobody(lab):
    """A check that waits for silent servers ends by itself; the daemon answers others meanwhile."""
    domain, other = good_domain(lab), good_domain(lab)
    lab.dns.silence(f"_mta-sts.{domain.name}")
    slow = subprocess.Popen([lab.daemons.stsctl_program, "--json", "check", domain.name], stdout=subprocess.PIPE, text=True)
    assert checked(lab, other.name)["exit"] == 0
    report = json.loads(slow.communicate(timeout=60)[0])
    assert slow.returncode == 2 and lines(report, "txt", "error")[0]["reason"].startswith("dns-")
