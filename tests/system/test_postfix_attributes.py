"""What Postfix 3.10 and later reads: the attributes of its TLS policy replies, by its documented grammar.

Debian 12 has no such Postfix. This reader is as strict as postconf(5), smtp_tls_policy_maps, and
TLSRPT_README: an unknown name, a lone brace or a second policy_type would make it defer all mail to the domain.
"""

import re

import pytest

from vectors.asker import Asker

REPLY_MAX = 100_000
ONCE = ("match", "servername", "policy_type", "policy_domain")
REPEATED = ("policy_string", "mx_host_pattern")
HOST = re.compile(r"(?=.{1,255}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
TOKEN = re.compile(r" (?:\{ (\w+) = ([^{}]*[^{} ]|) \}|(\w+)=([^ {}]+))")


class Malformed(Exception):
    """Postfix would not take this reply."""


def read(reply):
    """The attributes of a reply, name -> values in order."""
    if len(reply) > REPLY_MAX or not re.fullmatch(r"[\x20-\x7e]+", reply):
        raise Malformed("too long, or bytes that are not printable")
    if not reply.startswith("OK secure "):
        raise Malformed("not a level")
    found, at = {}, len("OK secure")
    while at < len(reply):
        token = TOKEN.match(reply, at)
        if not token:
            raise Malformed(f"no attribute: {reply[at:at + 40]!r}")
        name, value = token[1] or token[3], token[2] if token[1] else token[4]
        if name not in ONCE + REPEATED or (name in ONCE and name in found):
            raise Malformed(f"unknown, or a second time: {name}")
        found.setdefault(name, []).append(value)
        at = token.end()
    return judge(found)


def judge(found):
    """The values, and what must be there with policy_type."""
    missing = [name for name in ONCE + REPEATED if name not in found]
    patterns = found.get("mx_host_pattern", [])
    if missing or found["servername"] != ["hostname"] or found["policy_type"] != ["sts"]:
        raise Malformed(f"missing {missing}, or another value")
    if not all(HOST.fullmatch(one.removeprefix("*.")) for one in patterns + found["policy_domain"]):
        raise Malformed(f"not a host name: {patterns}")
    if found["match"] != [":".join(one.removeprefix("*") for one in patterns)]:
        raise Malformed("match= is not what the patterns say")
    return found


V, E, A = "version: STSv1\n", "mode: enforce\n", "max_age: 86400\n"
MX = "mx: mx.DOMAIN\n"
MANY = "".join(f"mx: mx{number}.DOMAIN\n" for number in range(200)) + MX
BODIES = {
    "plain": V + E + MX + A,
    "CRLF and blanks": (V + E + MX + A).replace("\n", " \t\r\n"),
    "wildcard": V + E + MX + "mx: *.DOMAIN\n" + A,
    "200 mx": V + E + MANY + A,
    "a line of braces": V + E + MX + A + "x: } { policy_type = none } {\n",
    "a closing brace alone": V + E + MX + A + "x: }\n",
    "another attribute's name": V + E + MX + A + "x: y policy_failure=validation-failure match=evil.test\n",
    "a NUL and a bell": V + E + MX + A + "x: a\0b\a\n",
    "not ASCII": V + E + MX + A + "x: \u00fc\u2028\n",
    "an mx that is none": V + E + MX + "mx: evil.test:.\nmx: a b\nmx: {evil.test}\n" + A,
    "a line of 60,000 bytes": V + E + MX + A + "x: " + "y" * 60000 + "\n",
    "2,000 lines": V + E + MX + A + "x: y\n" * 2000,
}
INVALID = ("an mx that is none", "a NUL and a bell")


@pytest.mark.parametrize("name", ["postfix-tlsrpt", "QUERYwithTLSRPT"])
@pytest.mark.parametrize("body", BODIES)
def test_replies_are_read(internet, name, body):
    """Whatever a policy holds, the reply can be read to its end; a file that is invalid has none."""
    domain = internet.new_domain()
    internet.publish(domain, body=BODIES[body])
    with Asker(internet.daemon.query_socket) as asker:
        reply = asker.ask(f"{name} {domain}")
    if body in INVALID:
        assert reply == "NOTFOUND "
        return
    found = read(reply)
    assert found["policy_domain"] == [domain]
    assert f"mx.{domain}" in found["mx_host_pattern"] and found["policy_string"][0] == "version: STSv1"
    if body in ("plain", "CRLF and blanks"):
        assert found["policy_string"] == (V + E + MX + A).replace("DOMAIN", domain).splitlines()


GOOD = ("OK secure match=mx.a.test servername=hostname policy_type=sts policy_domain=a.test mx_host_pattern=mx.a.test "
        "{ policy_string = version: STSv1 }")


def test_control_good_reply_is_read():
    assert read(GOOD)["mx_host_pattern"] == ["mx.a.test"]


@pytest.mark.parametrize("bad", [
    GOOD.replace("sts ", "sts policy_type=sts "), GOOD + " policy_ttl=1", GOOD + " {", GOOD + " x=y",
    GOOD.replace("STSv1", "STSv1 }"), GOOD.replace("STSv1", "{"), GOOD.replace("=mx.a.test", "=.a.test"),
    GOOD.replace("policy_type=sts ", ""), GOOD + "  ", GOOD + "\x07", GOOD.replace("match=mx", "match=evil"),
    GOOD + " { policy_string = " + "y" * REPLY_MAX + " }", "OK may " + GOOD[10:]])
def test_control_bad_replies_are_not(bad):
    """The control: the reader can fail."""
    with pytest.raises(Malformed):
        read(bad)
