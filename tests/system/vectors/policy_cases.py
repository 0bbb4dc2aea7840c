"""policy_cases - policy files (RFC 8461 s3.2; requirements C, ambiguities 9-32)."""

from vectors.case import Case

V, E, M, A = "version: STSv1\n", "mode: enforce\n", "mx: mx.DOMAIN\n", "max_age: 86400\n"
ENFORCE = V + E + M + A
BODY_MAX = 65536


def secure(name, body, mx="mx.DOMAIN", max_age="86400", **options):
    return Case(f"policy: {name}", "secure ok", body=body, fields={"mode": "enforce", "mx": mx, "max_age": max_age},
                **options)


def invalid(name, body, want="none policy-invalid"):
    return Case(f"policy: {name}", want, body=body, fields={"mode": "-", "mx": "-"})


def not_enforced(name, mode, body, mx):
    return Case(f"policy: {name}", f"{mode} ok", body=body, fields={"mode": mode, "mx": mx, "hosts": "-"})


def refused(name, pattern):
    """Valid by the grammar or refused as a file: in no case may the host of the domain match."""
    return Case(f"policy: {name}", "refuse mx-not-listed|none policy-invalid", body=V + E + f"mx: {pattern}\n" + A)


def filled(size):
    """A valid policy of exactly `size` bytes once DOMAIN has its real length."""
    def body(domain):
        start = ENFORCE.replace("DOMAIN", domain)
        return start + "x: " + "y" * (size - len(start) - 4) + "\n"
    return body


def sized(name, size, want):
    from vectors.policyserver import Host, http  # the body needs the domain's length
    return Case(f"policy: {name}", want, host=lambda domain: Host(http(filled(size)(domain))))


POLICY_CASES = [
    secure("plain", ENFORCE),
    secure("CRLF", ENFORCE.replace("\n", "\r\n")),
    secure("mixed line ends", V + E.replace("\n", "\r\n") + M + A.replace("\n", "\r\n")),
    secure("no last line end", ENFORCE.rstrip("\n")),
    secure("no last line end, CRLF", ENFORCE.replace("\n", "\r\n").rstrip("\r\n")),
    secure("any order", A + M + E + V),
    secure("no blank behind the colon", ENFORCE.replace(": ", ":")),
    secure("many blanks behind the colon", ENFORCE.replace(": ", ": \t  ")),
    secure("trailing blanks", ENFORCE.replace("\n", " \t\n")),
    secure("trailing blanks and CRLF", ENFORCE.replace("\n", " \r\n")),
    secure("blank lines", "\n\n" + V + "\r\n" + E + "\n" + M + "  \n" + A + "\n\n"),
    secure("unknown keys", V + "x-y_z.9: anything: at = all; {really}\n" + E + M + A + "e: ü\n"),
    secure("keys in other cases are unknown", "MX: evil.test\nMode: none\nVERSION: 2\nMax_Age: 1\n" + ENFORCE),
    secure("mode twice: the first", ENFORCE + "mode: none\n"),
    secure("mode twice, the second bad", ENFORCE + "mode: !\n"),
    secure("version twice, the second bad", ENFORCE + "version: STSv2\n"),
    secure("max_age twice: the first", ENFORCE + "max_age: 1\n"),
    secure("max_age twice, the second bad", ENFORCE + "max_age: -1\n"),
    secure("max_age with zeros before", V + E + M + "max_age: 0000086400\n"),
    secure("max_age at its maximum", V + E + M + "max_age: 31557600\n", max_age="31557600"),
    secure("max_age above its maximum", V + E + M + "max_age: 31557601\n", max_age="31557600"),
    secure("max_age of 10 digits", V + E + M + "max_age: 9999999999\n", max_age="31557600"),
    secure("max_age 0", V + E + M + "max_age: 0\n", max_age="0"),
    secure("max_age 1", V + E + M + "max_age: 1\n", max_age="1"),
    secure("two hosts", V + E + M + "mx: b.DOMAIN\n" + A, mx="mx.DOMAIN,b.DOMAIN"),
    secure("file order of hosts", V + E + "mx: z.DOMAIN\n" + A + M + "mx: a.DOMAIN\n",
           mx="z.DOMAIN,mx.DOMAIN,a.DOMAIN"),
    secure("wildcard", V + E + "mx: *.DOMAIN\n" + A, mx="*.DOMAIN"),
    secure("mx in upper case", V + E + "mx: MX.DOMAIN\n" + A),
    secure("mx with a final dot", V + E + "mx: mx.DOMAIN.\n" + A),
    secure("mx with digits and hyphens", V + E + M + "mx: 1a--b.3com.test\n" + A, mx="mx.DOMAIN,1a--b.3com.test"),
    secure("mx as A-label", V + E + M + "mx: xn--bcher-kva.test\n" + A, mx="mx.DOMAIN,xn--bcher-kva.test"),
    secure("mx of 63-byte labels", V + E + M + f"mx: {'a' * 63}.test\n" + A, mx=f"mx.DOMAIN,{'a' * 63}.test"),
    secure("500 hosts", V + E + M + "".join(f"mx: h{n}.test\n" for n in range(499)) + A,
           mx="mx.DOMAIN," + ",".join(f"h{n}.test" for n in range(499))),
    not_enforced("testing", "testing", V + "mode: testing\n" + M + A, "mx.DOMAIN"),
    not_enforced("testing, no candidate listed", "testing", V + "mode: testing\nmx: other.test\n" + A, "other.test"),
    not_enforced("none without mx", "none", V + "mode: none\n" + A, "-"),
    not_enforced("none with mx", "none", V + "mode: none\n" + M + A, "mx.DOMAIN"),
    not_enforced("none with an empty mx", "none", V + "mode: none\nmx:\n" + A, "-"),
    not_enforced("first mode counts: none", "none", V + "mode: none\n" + E + M + A, "mx.DOMAIN"),
    not_enforced("first mode counts: testing", "testing", V + "mode: testing\n" + E + M + A, "mx.DOMAIN"),
    invalid("empty", ""),
    invalid("blank lines only", "\n\r\n \n"),
    invalid("HTML", "<!DOCTYPE html>\n<html><body>404</body></html>\n"),
    invalid("no version", E + M + A),
    invalid("no mode", V + M + A),
    invalid("no max_age", V + E + M),
    invalid("no mx", V + E + A),
    invalid("testing without mx", V + "mode: testing\n" + A),
    invalid("empty mx", V + E + "mx:\n" + A),
    invalid("empty mx beside a good one", V + E + M + "mx: \n" + A),
    invalid("version of the TXT record", "v=STSv1\n" + E + M + A),
    invalid("version in lower case", "version: stsv1\n" + E + M + A),
    invalid("version 2", "version: STSv2\n" + E + M + A),
    invalid("version with more", "version: STSv1 x\n" + E + M + A),
    invalid("bad version first", "version: STSv2\n" + ENFORCE),
    invalid("mode in upper case", V + "mode: Enforce\n" + M + A),
    invalid("mode report", V + "mode: report\n" + M + A),
    invalid("mode empty", V + "mode:\n" + M + A),
    invalid("mode with more", V + "mode: enforce # yes\n" + M + A),
    invalid("bad mode first", V + "mode: x\n" + E + M + A),
    *(invalid(f"max_age {value!r}", V + E + M + f"max_age: {value}\n")
      for value in ("-1", "+1", "1.5", "1e6", "0x10", "1 2", "1d", "", "inf", "\u0661", "86400;", "1,000",
                    "00000086400")),
    invalid("bad max_age first", V + E + M + "max_age: x\n" + A),
    *(invalid(f"mx {value!r}", V + E + f"mx: {value}\n" + A)
      for value in ("mx..DOMAIN", ".DOMAIN", "-mx.DOMAIN", "mx-.DOMAIN", "mx_1.DOMAIN", "mx.DOMAIN..", "*", "*.",
                    "**.DOMAIN",
                    "*mx.DOMAIN", "m*.DOMAIN", "mx*.DOMAIN", "mx.*.test", "*.*.DOMAIN", "mx.DOMAIN mx2.DOMAIN",
                    "mx.DOMAIN,mx2.DOMAIN", "mx.DOMAIN;", "mx.DOMAIN:25", "[192.0.2.1]", "mx.DOMAIN/",
                    "m\u00fcx.DOMAIN",
                    "\uff4dx.DOMAIN", "mx\u3002DOMAIN", "a" * 64 + ".DOMAIN", "a." * 130 + "test", "mx.DOMAIN\0",
                    "mx.DOMAIN\x0b", "mx.%44OMAIN", "mx.DOMAIN\u200b", "user@mx.DOMAIN", "https://mx.DOMAIN")),
    invalid("one bad mx among good ones", V + E + M + "mx: b@d\n" + A),
    invalid("bad mx behind 200 good ones", V + E + M * 200 + "mx: *\n" + A),
    *(refused(f"pattern that must not match: {pattern}", pattern)
      for pattern in ("DOMAIN", "*.mx.DOMAIN", "*.test", "*.com", "com", "localhost", "hostname", "nexthop",
                      "127.0.0.1",
                      "mx.DOMAIN.evil.test", "evil-mx.DOMAIN", "x.DOMAIN")),
    invalid("blank before a key", V + " " + E + M + A),
    invalid("tab before a key", V + E + "\t" + M + A),
    invalid("blank before the colon", V + "mode : enforce\n" + M + A),
    invalid("= for the colon", V + "mode=enforce\n" + M + A),
    invalid("line without a colon", ENFORCE + "garbage\n"),
    invalid("key of 33 characters", ENFORCE + "k" * 33 + ": v\n"),
    invalid("key with a sign", ENFORCE + "k!: v\n"),
    invalid("key starting with a hyphen", ENFORCE + "-k: v\n"),
    invalid("unknown key without a value", ENFORCE + "x:\n"),
    invalid("byte-order mark", b"\xef\xbb\xbf" + ENFORCE.encode()),
    invalid("UTF-16", ENFORCE.encode("utf-16-le")),
    invalid("lone CR for line ends", ENFORCE.replace("\n", "\r")),
    invalid("vertical tab for line ends", ENFORCE.replace("\n", "\x0b")),
    invalid("line separator U+2028", ENFORCE.replace("\n", "\u2028")),
    invalid("CR CR LF", ENFORCE.replace("\n", "\r\r\n")),
    invalid("NUL at the end", ENFORCE + "\0"),
    invalid("NUL in an unknown value", ENFORCE + "x: a\0b\n"),
    invalid("broken UTF-8 in an unknown value", ENFORCE.encode() + b"x: \xc3\x28\n"),
    invalid("overlong UTF-8 in an unknown value", ENFORCE.encode() + b"x: \xc0\x8amx: evil\n"),
    invalid("surrogate in an unknown value", ENFORCE.encode() + b"x: \xed\xa0\x80\n"),
    invalid("control in an unknown value", ENFORCE + "x: a\x01b\n"),
    invalid("CR in an unknown value swallows nothing", ENFORCE + "x: a\rmx: evil.test\n"),
    sized("64,000 bytes", 64000, "secure ok"),
    sized("64 KiB", BODY_MAX, "secure ok"),
    sized("64 KiB and a byte", BODY_MAX + 1, "none too-large"),
    sized("1 MiB", 1 << 20, "none too-large"),
]
