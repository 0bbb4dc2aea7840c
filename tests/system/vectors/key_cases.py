"""key_cases - how MTAs write a next hop, and what each map says (DESIGN 3; requirements D, E, K)."""

from vectors.case import Case
from vectors.dnsserver import SERVFAIL
from vectors.internet import policy

SECURE = "OK secure match=mx.DOMAIN servername=hostname"
TLSRPT = (SECURE + " policy_type=sts policy_domain=DOMAIN mx_host_pattern=mx.DOMAIN { policy_string = version: STSv1 }"
          " { policy_string = mode: enforce } { policy_string = mx: mx.DOMAIN } { policy_string = max_age: 86400 }")
NONE = "NOTFOUND "
HOST_ONLY = policy(mx_hosts=("DOMAIN",))
WILD = policy(mx_hosts=("*.DOMAIN", "mx.DOMAIN"))
POSTFIX_NAMES = ("postfix", "QUERY", "Postfix", "query", "QuErY")
TLSRPT_NAMES = ("postfix-tlsrpt", "QUERYwithTLSRPT", "querywithtlsrpt", "POSTFIX-TLSRPT")
OTHERS = {"testing": policy("testing"), "none": policy("none"), "broken": "x"}


def key(text, want="secure ok", **options):
    fields = {"domain": "DOMAIN"} if want.startswith("secure") else {}
    return Case(f"key: {text}", want, key=text, fields=fields, **options)


def map_case(name, want, **options):
    return Case(f"map: {name} {sorted(options)} {want[:24]}", want, map=name, **options)


def stsmx(host, want, body=None):
    return Case(f"stsmx: {host} {want} {body and len(body)}", want, map="stsmx", key=f"DOMAIN/{host}", body=body)


def txt_servfail(internet, domain, _host):
    internet.dns.put(f"_mta-sts.{domain}", "TXT", rcode=SERVFAIL)



KEY_CASES = [
    *(key(text) for text in ("DOMAIN", "DOMAIN.", "user@DOMAIN", "user@DOMAIN.", '"a@b"@DOMAIN', "DOMAIN:25",
                             "DOMAIN:587", "DOMAIN:mail",
                             "user+tag@DOMAIN", "DOMAIN wait=3500", "DOMAIN wait=999999999", "@DOMAIN")),
    key("[DOMAIN]", "secure ok", body=HOST_ONLY),
    key("[DOMAIN]:587", "secure ok", body=HOST_ONLY),
    key("[DOMAIN]:ssmtp", "secure ok", body=HOST_ONLY),
    key("[DOMAIN.]", "secure ok", body=HOST_ONLY),
    Case("key: [host] is the only candidate, MX is not asked", "refuse mx-not-listed", key="[DOMAIN]",
         check=lambda internet, domain, _host: "MX was asked" if internet.dns.count(domain, "MX") else None),
    Case("key: [host] that the policy lists", "secure ok", key="[DOMAIN]", body=HOST_ONLY, fields={"hosts": "DOMAIN"}),
    *(key(text, "none not-a-domain") for text in (
        ".DOMAIN", "[192.0.2.1]", "[192.0.2.1]:25", "192.0.2.1", "user@[192.0.2.1]", "[IPv6:2001:db8::1]",
        "2001:db8::1",
        "[2001:db8::1]:25", "", "@", "user@", "DOMAIN..", "a..DOMAIN", "-a.DOMAIN", "a_b.DOMAIN/", "a/b.DOMAIN",
        "*.DOMAIN",
        "a%b.DOMAIN", "a" * 64 + ".DOMAIN", "a." * 127 + "DOMAIN", "a\0.DOMAIN", "a\n.DOMAIN", "a=b.DOMAIN", "[", "[]",
        "]")),
    *(map_case(name, SECURE) for name in POSTFIX_NAMES),
    *(map_case(name, SECURE) for name in ("sts", "STS", "Sts")),
    *(map_case(name, TLSRPT) for name in TLSRPT_NAMES),
    *(Case(f"map: {name}, policy {what}", NONE, map=name, body=body) for name in ("postfix", "postfix-tlsrpt", "sts")
      for what, body in OTHERS.items()),
    *(Case(f"map: {name}, no record", NONE, map=name, records=()) for name in ("postfix", "postfix-tlsrpt", "sts")),
    *(Case(f"map: {name}, unknown", NONE, map=name, prepare=txt_servfail)
      for name in ("postfix", "postfix-tlsrpt", "sts")),
    *(Case(f"map: {name} {text}", NONE, map=name, key=text) for name in ("postfix", "postfix-tlsrpt", "sts")
      for text in (".DOMAIN", "[192.0.2.1]", "192.0.2.1", "[IPv6:::1]", "", "*")),
    *(Case(f"map: {name}, no candidate is listed", SECURE, map=name, mx_hosts=("evil.test",))
      for name in ("postfix", "sts")),
    Case("map: wildcard in match=", "OK secure match=.DOMAIN:mx.DOMAIN servername=hostname", map="sts", body=WILD),
    Case("map: wildcard for TLSRPT", "OK secure match=.DOMAIN:mx.DOMAIN servername=hostname policy_type=sts "
         "policy_domain=DOMAIN mx_host_pattern=*.DOMAIN mx_host_pattern=mx.DOMAIN { policy_string = version: STSv1 } "
         "{ policy_string = mode: enforce } { policy_string = mx: *.DOMAIN } { policy_string = mx: mx.DOMAIN } "
         "{ policy_string = max_age: 86400 }", map="postfix-tlsrpt", body=WILD),
    Case("map: lines that Postfix cannot read stay out", TLSRPT, map="postfix-tlsrpt",
         body=policy() + "x: a=b\ny: {z}\nz: }\nu: \u00fc\n"),
    Case("map: one-label patterns reach no reply", SECURE, map="sts",
         body=policy(mx_hosts=("hostname", "mx.DOMAIN", "nexthop"))),
    Case("map: only one-label patterns", "TEMP the MTA-STS policy of DOMAIN lists no host that mail can be sent to",
         map="sts",
         body=policy(mx_hosts=("hostname",))),
    Case("map: user@domain", SECURE, map="sts", key="user@DOMAIN"),
    Case("map: unknown name", "TEMP unknown map", map="other"),
    Case("map: no name", "TEMP unknown map", map=""),
    Case("map: a long list starts with what the present MX needs",
         "OK secure match=mx.DOMAIN:" +
         ":".join(f"long-host-name-{n:02}.example.net" for n in range(7)) + " servername=hostname",
         map="sts", body=policy(mx_hosts=(*(f"long-host-name-{n:02}.example.net" for n in range(30)), "mx.DOMAIN"))),
    Case("map: a long list is whole for Postfix",
         "OK secure match=" + ":".join(f"h{n}.example.net" for n in range(300)) + " servername=hostname",
         map="postfix", body=policy(mx_hosts=tuple(f"h{n}.example.net" for n in range(300)))),
    stsmx("mx.DOMAIN", "OK ok"), stsmx("MX.DOMAIN.", "OK ok"), stsmx("evil.test", NONE), stsmx("x.mx.DOMAIN", NONE),
    stsmx("DOMAIN", NONE), stsmx("a.DOMAIN", "OK ok", WILD), stsmx("a.b.DOMAIN", NONE, WILD),
    stsmx("DOMAIN", NONE, WILD),
    stsmx("192.0.2.1", NONE), stsmx("", NONE), stsmx("evil.test", "OK ok", policy("testing")),
    stsmx("evil.test", "OK ok", policy("none")), stsmx("evil.test", "OK ok", "broken"),
    Case("stsmx: no record", "OK ok", map="stsmx", key="DOMAIN/evil.test", records=()),
]
