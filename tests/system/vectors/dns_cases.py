"""dns_cases - DNS at its worst: at _mta-sts, at the policy host, at the domain itself."""

import struct

from vectors.case import Case
from vectors.dnsserver import NXDOMAIN, REFUSED, SERVFAIL, FORMERR, NOTIMP, TYPES, address, mx, txt, wire_name
from vectors.internet import GOOD_RECORD, policy


def case(name, want, prepare, **options):
    return Case(f"dns: {name}", want, prepare=prepare, **options)


def answers(prefix, kind, **options):
    """The name's records stay, and `options` of Answer change."""
    def prepare(internet, domain, _host):
        record = internet.dns.records[prefix + domain, kind]
        for key, value in options.items():
            setattr(record, key, value)
    return prepare


def without(prefix, kind):
    return lambda internet, domain, _host: internet.dns.remove(prefix + domain, kind)


def chained(prefix, kind, length, **options):
    """`length` CNAMEs before the record."""
    def prepare(internet, domain, _host):
        names = [prefix + domain, *(f"c{n}.{domain}" for n in range(length))]
        record = internet.dns.records.pop((names[0], kind))
        for name, target in zip(names, names[1:]):
            internet.dns.put(name, "CNAME", wire_name(target), **options)
        internet.dns.records[names[-1], kind] = record
    return prepare


def looped(prefix, kind):
    def prepare(internet, domain, _host):
        internet.dns.remove(prefix + domain, kind)
        internet.dns.put(prefix + domain, "CNAME", wire_name(f"loop.{domain}"), fault="cname-only")
        internet.dns.put(f"loop.{domain}", "CNAME", wire_name(prefix + domain), fault="cname-only")
    return prepare


def crowd(size):
    """The record among so many others that the reply has about `size` bytes and comes over TCP."""
    def prepare(internet, domain, _host):
        others = [txt(f"other-{n}=" + "z" * 80) for n in range(size // 100)]
        internet.dns.put(f"_mta-sts.{domain}", "TXT", *others, txt(GOOD_RECORD))
    return prepare


def mx_set(*records, **options):
    def prepare(internet, domain, _host):
        internet.dns.put(domain, "MX",
                         *(mx(preference, name.replace("DOMAIN", domain)) for preference, name in records),
                         **options)
    return prepare


def implicit_mx(family="A", where="127.0.0.1"):
    def prepare(internet, domain, _host):
        internet.dns.remove(domain, "MX")
        internet.dns.put(domain, family, address(where))
    return prepare


def alias_without_mx(internet, domain, _host):
    internet.dns.remove(domain, "MX")
    internet.dns.put(domain, "CNAME", wire_name(f"mail.{domain}"))
    internet.dns.put(f"mail.{domain}", "A", address("127.0.0.1"))


def at_domain(**options):
    """No MX record, and this at the domain's address."""
    def prepare(internet, domain, _host):
        internet.dns.put(domain, "MX")
        internet.dns.put(domain, "A", address("127.0.0.1"), **options)
        internet.dns.put(domain, "AAAA", **options)
    return prepare


def alias_at_domain(internet, domain, _host):
    record = internet.dns.records.pop((domain, "MX"))
    internet.dns.put(domain, "CNAME", wire_name(f"real.{domain}"))
    internet.dns.records[f"real.{domain}", "MX"] = record


def moved_policy_host(internet, domain, _host):
    """As a provider does it: the policy host is a CNAME, its certificate still has the domain's name."""
    internet.dns.remove(f"mta-sts.{domain}", "A")
    internet.dns.put(f"mta-sts.{domain}", "CNAME", wire_name(f"provider.{domain}"))
    internet.dns.put(f"provider.{domain}", "A", address("127.0.0.1"))


def pointers(count, forward=False):
    """A TXT record whose owner is the question's name by way of `count` compression pointers, which lie in a
    record of an unknown type in front of it; `forward`: behind it."""
    def section(question_size):
        header, good = struct.pack("!HHIH", 0xFF00, 1, 300, 2 * count), txt(GOOD_RECORD)
        owned = struct.pack("!HHIH", TYPES["TXT"], 1, 300, len(good)) + good
        first = 12 + question_size + (2 + len(owned) if forward else 0) + 2 + len(header)
        chain = [0xC00C, *(0xC000 | first + 2 * n for n in range(count))]
        hoard = b"\xc0\x0c" + header + struct.pack(f"!{count}H", *chain[:count])
        record = struct.pack("!H", chain[count - 1] if not forward else chain[count]) + owned
        return (record + hoard if forward else hoard + record), 2
    return answers("_mta-sts.", "TXT", make=section)


def policy_host_alias(kind, *where):
    """The policy host is a CNAME to a name with these addresses."""
    def prepare(internet, domain, _host):
        internet.dns.remove(f"mta-sts.{domain}", "A")
        internet.dns.put(f"mta-sts.{domain}", "CNAME", wire_name(f"inner.{domain}"))
        internet.dns.put(f"inner.{domain}", kind, *map(address, where))
    return prepare


def rebound(*turns):
    """The policy host's address changes with each look-up."""
    return answers("mta-sts.", "A", turns=[[address(where)] for where in turns])


def looked_up_once(internet, domain, _host):
    count = internet.dns.count(f"mta-sts.{domain}", "A")
    return None if count == 1 else f"{count} look-ups of its address"


BOTH = policy(mx_hosts=("mx.DOMAIN", "*.w.DOMAIN"))
SEVERAL = ((30, "other.test"), (20, "mx.DOMAIN"), (10, "b.w.DOMAIN"), (10, "a.b.w.DOMAIN"), (20, "w.DOMAIN"))
TXT_FAULTS = [("silent", "dns-timeout"), ("wrong-id", "dns-timeout"), ("wrong-question", "dns-timeout"),
              ("not-a-reply", "dns-timeout"), ("garbage", "dns-bad-reply|unknown dns-timeout"),
              ("short", "dns-bad-reply"),
              ("count-lie", "dns-bad-reply"), ("truncated-tcp", "dns-bad-reply"),
              ("tcp-refused", "dns-bad-reply|unknown dns-timeout")]
RCODES = [(SERVFAIL, "SERVFAIL"), (REFUSED, "REFUSED"), (FORMERR, "FORMERR"), (NOTIMP, "NOTIMP")]

DNS_CASES = [
    case("no domain at all", "none no-record", lambda internet, domain, _host: [
        internet.dns.remove(*key) for key in (("_mta-sts." + domain, "TXT"), (domain, "MX"),
                                                  ("mta-sts." + domain, "A"))]),
    case("TXT: NXDOMAIN", "none no-record", without("_mta-sts.", "TXT")),
    case("TXT: NODATA", "none no-record", answers("_mta-sts.", "TXT", rdata=[])),
    *(case(f"TXT: {name}", "unknown dns-servfail|unknown dns-bad-reply",
           answers("_mta-sts.", "TXT", rcode=rcode, rdata=[]))
      for rcode, name in RCODES),
    *(case(f"TXT: {fault}", f"unknown {reason}", answers("_mta-sts.", "TXT", fault=fault))
      for fault, reason in TXT_FAULTS),
    case("TXT: forged id before the true reply", "secure ok", answers("_mta-sts.", "TXT", fault="wrong-id-first")),
    case("TXT: another port's reply before the true one", "secure ok",
         answers("_mta-sts.", "TXT", fault="other-source-first")),
    case("TXT: what is in a cut reply counts for nothing", "secure ok",
         answers("_mta-sts.", "TXT", fault="lying-cut", lie=txt("v=STSv1; id=forged;")), fields={"id": "1"}),
    case("TXT: owner by 16 pointers", "secure ok", pointers(16)),
    case("TXT: owner by 17 pointers", "unknown dns-bad-reply", pointers(17)),
    case("TXT: owner by 500 pointers", "unknown dns-bad-reply", pointers(500)),
    case("TXT: pointer forward", "unknown dns-bad-reply", pointers(1, forward=True)),
    case("TXT: records of another name count for nothing", "none no-record|unknown dns-bad-reply",
         answers("_mta-sts.", "TXT", fault="foreign")),
    case("TXT: owner in upper case", "secure ok", answers("_mta-sts.", "TXT", fault="upper-case")),
    case("MX: records of another name count for nothing", "secure no-host|secure dns-bad-reply",
         answers("", "MX", fault="foreign")),
    case("host: addresses of another name count for nothing", "none no-host|none dns-bad-reply",
         answers("mta-sts.", "A", fault="foreign")),
    case("TXT: cut to TCP", "secure ok", answers("_mta-sts.", "TXT", fault="truncated")),
    case("TXT: late", "secure ok", answers("_mta-sts.", "TXT", delay=0.4)),
    case("TXT: 3 KiB over TCP", "secure ok", crowd(3000)),
    case("TXT: 120 others, 12 KiB", "secure ok", crowd(12000)),
    case("TXT: 60 KiB is unknown, not none", "unknown dns-bad-reply", crowd(60000)),
    case("TXT: 60,000 empty strings", "unknown dns-bad-reply", answers("_mta-sts.", "TXT", rdata=[bytes(60000)])),
    case("TXT: record without a string", "unknown dns-bad-reply", answers("_mta-sts.", "TXT", rdata=[b""])),
    case("TXT: string past its record", "unknown dns-bad-reply",
         answers("_mta-sts.", "TXT", rdata=[b"\x20v=STSv1; id=1"])),
    case("TXT: TTL 0", "secure ok", answers("_mta-sts.", "TXT", ttl=0)),
    case("TXT: TTL 2^31", "secure ok", answers("_mta-sts.", "TXT", ttl=1 << 31)),
    case("TXT: record at the domain only", "none no-record", lambda internet, domain, _host: [
        internet.dns.remove("_mta-sts." + domain, "TXT"), internet.dns.put(domain, "TXT", txt(GOOD_RECORD))]),
    *(case(f"TXT: chain of {n}", "secure ok", chained("_mta-sts.", "TXT", n)) for n in (1, 2, 5, 8)),
    *(case(f"TXT: chain of {n}, link by link", "secure ok", chained("_mta-sts.", "TXT", n, fault="cname-only"))
      for n in (1, 3)),
    case("TXT: chain of 12", "unknown dns-bad-reply", chained("_mta-sts.", "TXT", 12)),
    case("TXT: loop", "unknown dns-bad-reply", looped("_mta-sts.", "TXT")),
    case("TXT: CNAME into nothing", "none no-record", lambda internet, domain, _host: [
        internet.dns.remove("_mta-sts." + domain, "TXT"),
        internet.dns.put("_mta-sts." + domain, "CNAME", wire_name(f"gone.{domain}"))]),
    case("host: CNAME to a provider", "secure ok", moved_policy_host),
    case("host: chain of 3, link by link", "secure ok", chained("mta-sts.", "A", 3, fault="cname-only")),
    *(case(f"host: CNAME to {where}", "none connect-blocked",
           policy_host_alias("AAAA" if ":" in where else "A", where))
      for where in ("10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "fd00::1",
                    "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::")),
    case("host: private at the second look-up", "secure ok", rebound("127.0.0.1", "10.0.0.1"),
         check=looked_up_once),
    case("host: private at the first look-up only", "none connect-blocked", rebound("10.0.0.1", "127.0.0.1"),
         check=looked_up_once),
    case("host: NXDOMAIN", "none no-host", without("mta-sts.", "A")),
    case("host: NODATA", "none no-host", answers("mta-sts.", "A", rdata=[])),
    case("host: SERVFAIL", "none dns-servfail", answers("mta-sts.", "A", rcode=SERVFAIL, rdata=[])),
    case("host: silent", "none dns-timeout", answers("mta-sts.", "A", fault="silent")),
    case("host: AAAA silent, A there", "secure ok", lambda internet, domain, _host: internet.dns.put(
        f"mta-sts.{domain}", "AAAA", fault="silent")),
    case("host: loop", "none dns-bad-reply", looped("mta-sts.", "A")),
    case("host: garbage", "none dns-bad-reply|none dns-timeout", answers("mta-sts.", "A", fault="garbage")),
    case("MX: by preference, listed ones only", "secure ok", mx_set(*SEVERAL), body=BOTH,
         fields={"hosts": "b.w.DOMAIN,mx.DOMAIN", "mx": "mx.DOMAIN,*.w.DOMAIN"}),
    case("MX: upper case", "secure ok", mx_set((10, "MX.DOMAIN")), fields={"hosts": "mx.DOMAIN"}),
    case("MX: one of 20 is listed", "secure ok", mx_set(*((n, f"h{n}.test") for n in range(19)), (99, "mx.DOMAIN")),
         fields={"hosts": "mx.DOMAIN"}),
    case("MX: none is listed", "refuse mx-not-listed", mx_set((10, "evil.test"), (20, "mx.DOMAIN.evil.test")),
         fields={"mode": "enforce", "hosts": "-", "mx": "mx.DOMAIN"}),
    case("MX: suffix of a listed name", "refuse mx-not-listed", mx_set((10, "xmx.DOMAIN"))),
    case("MX: deeper than the wildcard", "refuse mx-not-listed", mx_set((10, "a.b.w.DOMAIN"), (20, "w.DOMAIN")),
         body=BOTH),
    case("MX: null", "refuse null-mx", mx_set((0, ""))),
    case("MX: null beside others means nothing", "secure ok", mx_set((0, ""), (10, "mx.DOMAIN"))),
    case("MX: no record, no address", "secure no-host", without("", "MX")),
    case("MX: NXDOMAIN", "secure no-host", mx_set(rcode=NXDOMAIN)),
    case("MX: NODATA and no address", "secure no-host", mx_set()),
    case("MX: SERVFAIL", "secure dns-servfail", mx_set(rcode=SERVFAIL)),
    case("MX: silent", "secure dns-timeout", answers("", "MX", fault="silent")),
    case("MX: garbage", "secure dns-bad-reply|secure dns-timeout", answers("", "MX", fault="garbage")),
    case("MX: implicit, listed", "secure ok", implicit_mx(), body=policy(mx_hosts=("DOMAIN",)),
         fields={"hosts": "DOMAIN"}),
    case("MX: implicit by AAAA", "secure ok", implicit_mx("AAAA", "::1"), body=policy(mx_hosts=("DOMAIN",)),
         fields={"hosts": "DOMAIN"}),
    case("MX: implicit, not listed", "refuse mx-not-listed", implicit_mx()),
    case("MX: implicit behind a CNAME, its end is listed", "secure ok", alias_without_mx,
         body=policy(mx_hosts=("mail.DOMAIN",)), fields={"hosts": "mail.DOMAIN"}),
    case("MX: implicit behind a CNAME, the domain is listed", "secure ok", alias_without_mx,
         body=policy(mx_hosts=("DOMAIN",)), fields={"hosts": "DOMAIN"}),
    case("MX: implicit behind a CNAME, neither is listed", "refuse mx-not-listed", alias_without_mx),
    case("MX: implicit, address SERVFAIL", "secure dns-servfail", at_domain(rcode=SERVFAIL)),
    case("MX: CNAME at the domain", "secure ok", alias_at_domain, fields={"hosts": "mx.DOMAIN"}),
    case("MX: CNAME at the domain, not listed", "refuse mx-not-listed", alias_at_domain,
         body=policy(mx_hosts=("other.test",))),
    case("MX: host is a CNAME, the record's name counts", "secure ok", lambda internet, domain, _host: internet.dns.put(
        f"mx.{domain}", "CNAME", wire_name("elsewhere.test")), fields={"hosts": "mx.DOMAIN"}),
    case("MX: 40 over TCP", "secure ok", mx_set(*((n, f"a-rather-long-host-name-{n}.DOMAIN") for n in range(39)),
                                              (99, "mx.DOMAIN")), fields={"hosts": "mx.DOMAIN"}),
    case("MX: underscore in a host", "refuse mx-not-listed", mx_set((10, "_mx.DOMAIN"))),
    case("MX: an address as a host", "refuse mx-not-listed", mx_set((10, "192.0.2.7"))),
]
