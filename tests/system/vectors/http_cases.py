"""http_cases - what a policy host may do (RFC 8461 s3.3; requirements B, ambiguities 29-36)."""

import gzip
import ssl

from vectors.case import Case
from vectors.dnsserver import address
from vectors.internet import policy
from vectors.policyserver import Host, http


def case(name, want, **options):
    return Case(f"http: {name}", want, **options)


def raw(name, want, make, **options):
    """`make` turns the true body into the bytes that are sent."""
    return case(name, want, host=lambda domain: Host(make(policy().replace("DOMAIN", domain).encode()), **options))


def with_head(head):
    return lambda body: head.replace("SIZE", str(len(body))).encode() + body


def certified(name, want, **options):
    """`options` of CertificateAuthority.issue; DOMAIN stands in names for the domain."""
    def prepare(internet, domain, host):
        names = [text.replace("DOMAIN", domain) for text in options.get("dns_names", ["mta-sts.DOMAIN"])]
        more = {key: value for key, value in options.items() if key != "dns_names"}
        more["common_name"] = more.get("common_name", "lab").replace("DOMAIN", domain)
        host.certificate = internet.certificates.issue(domain, names, **more)
    return Case(f"certificate: {name}", want, prepare=prepare)


def named(name, want, *names, **options):
    """The bytes of the DNS names, which may be any; DOMAIN stands for the domain."""
    def prepare(internet, domain, host):
        raw_names = b"".join(tagged(0x82, one.replace(b"DOMAIN", domain.encode())) for one in names)
        extension = "DER:" + tagged(0x30, raw_names).hex(":")
        host.certificate = internet.certificates.issue(domain, [], alt_names=extension, **options)
    return Case(f"certificate: {name}", want, prepare=prepare)


def tagged(tag, data):
    """One element of DER, of up to 255 bytes."""
    return bytes([tag]) + (bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])) + data


BOMB = gzip.compress(policy().encode() + b"\n" * 50_000_000, 9)


def not_yet_valid(internet, domain, host):
    host.certificate = internet.certificates.issue_later(domain, f"mta-sts.{domain}")


def at(*addresses):
    def prepare(internet, domain, _host):
        internet.dns.put(f"mta-sts.{domain}", "A", *map(address, addresses))
    return prepare


def ipv6(where, alone=False):
    def prepare(internet, domain, _host):
        internet.dns.put(f"mta-sts.{domain}", "AAAA", address(where))
        if alone:
            internet.dns.put(f"mta-sts.{domain}", "A")
    return prepare


def asked_once(_internet, _domain, host):
    return None if len(host.requests) == 1 else f"{len(host.requests)} requests"


def asked_as_the_rfc_says(_internet, domain, host):
    lines = host.requests[0].split("\r\n")
    wanted = ["GET /.well-known/mta-sts.txt HTTP/1.1", f"Host: mta-sts.{domain}"]
    forbidden = ("if-", "range", "cookie", "authorization", "referer", "accept-encoding")
    if lines[0] != wanted[0] or not any(line.split(":443")[0].startswith(wanted[1]) for line in lines):
        return f"asked {lines}"
    return next((f"sent {line}" for line in lines if line.lower().startswith(forbidden)), None)


STATUSES = ["201 Created", "202 Accepted", "203 Non-Authoritative", "204 No Content", "205 Reset",
            "206 Partial Content", "226 IM Used", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found",
            "410 Gone",
            "429 Too Many Requests", "451 Unavailable", "500 Error", "502 Bad Gateway", "503 Unavailable", "599 Odd",
            "600 Odd", "999 Odd"]
REDIRECTS = ["300 Choices", "301 Moved", "302 Found", "303 Other", "304 Not Modified", "307 Temporary", "308 Permanent"]
GOOD_TYPES = ["text/plain", "TEXT/Plain", "text/plain; charset=utf-8", "text/plain;charset=us-ascii",
              'text/plain; charset="utf-16"; x=y', "text/plain ; format=flowed", "text/plain;", " text/plain "]
BAD_TYPES = ["text/html", "text/html; charset=utf-8", "application/octet-stream", "text/plainx", "text", "plain",
             "text/*",
             "*/*", "text/plain, text/html", "text/ plain", "", "application/text/plain", "text/x-plain"]
MODERN = ssl.TLSVersion

HTTP_CASES = [
    case("good", "secure ok", check=asked_once),
    case("the request", "secure ok", check=asked_as_the_rfc_says),
    *(case(f"status {status}", "none http-status", http={"status": status}) for status in STATUSES),
    *(case(f"redirect {status}", "none http-redirect", check=asked_once,
           http={"status": status, "headers": ("Location: /.well-known/mta-sts.txt",)}) for status in REDIRECTS),
    *(case(f"type {kind!r}", "secure ok", http={"kind": kind}) for kind in GOOD_TYPES),
    *(case(f"type {kind!r}", "none http-type", http={"kind": kind}) for kind in BAD_TYPES),
    case("no type", "none http-type", http={"kind": None}),
    case("two types", "none http-type", http={"headers": ("Content-Type: text/html",)}),
    case("gzip that nobody asked for", "none http-type", http={"headers": ("Content-Encoding: gzip",)}),
    case("cache headers change nothing", "secure ok", fields={"max_age": "86400"},
         http={"headers": ("Cache-Control: no-store, max-age=0", "Age: 9999999",
                           "Expires: Thu, 01 Jan 1970 00:00:00 GMT")}),
    case("chunked", "secure ok", http={"framing": "chunked"}),
    case("body until a clean close", "secure ok", http={"framing": "none"}),
    raw("body until a cut", "none truncated", lambda body: http(body, framing="none"), end="cut"),
    case("length too large, clean close", "none truncated", http={"length": 4096}),
    raw("length too large, cut", "none truncated", lambda body: http(body, length=4096), end="cut"),
    raw("chunks without the last, clean close", "none truncated", lambda body: http(body, framing="chunked")[:-5]),
    raw("chunks without the last, cut", "none truncated", lambda body: http(body, framing="chunked")[:-5], end="cut"),
    raw("bad chunk size", "none truncated", lambda body: http(b"", framing="chunked").replace(b"\r\n0\r", b"\r\nzz\r")),
    raw("length too small leaves no half policy", "none policy-invalid", lambda body: http(body, length=30)),
    raw("length of no number", "none truncated|none http-status", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: many\r\n\r\n"), end="cut"),
    raw("negative length", "none truncated|none http-status", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: -1\r\n\r\n"), end="cut"),
    raw("closed with the answer owed", "none truncated", lambda _body: b""),
    raw("cut with the answer owed", "none truncated", lambda _body: b"", end="cut"),
    raw("cut in the head", "none truncated", lambda body: http(body)[:30], end="cut"),
    raw("HTTP/1.0", "secure ok", with_head("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")),
    raw("header in lower case, folded case of value", "secure ok", with_head(
        "HTTP/1.1 200 ok\r\ncontent-type: Text/PLAIN\r\ncontent-length: SIZE\r\n\r\n")),
    raw("no reason phrase", "secure ok", with_head(
        "HTTP/1.1 200\r\nContent-Type: text/plain\r\nContent-Length: SIZE\r\n\r\n")),
    raw("status of four digits", "none http-status", with_head(
        "HTTP/1.1 2000 OK\r\nContent-Type: text/plain\r\nContent-Length: SIZE\r\n\r\n")),
    raw("status of two digits", "none http-status", with_head(
        "HTTP/1.1 20 OK\r\nContent-Type: text/plain\r\nContent-Length: SIZE\r\n\r\n")),
    raw("HTTP/4", "none http-status", with_head(
        "HTTP/4.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: SIZE\r\n\r\n")),
    raw("folded type", "none http-type", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n text/plain\r\nContent-Length: SIZE\r\n\r\n")),
    raw("NUL in the type", "none http-type|none http-status|none truncated", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\0html\r\nContent-Length: SIZE\r\n\r\n")),
    raw("length above all numbers, cut", "none truncated|none too-large|none http-status", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999999999999999999999\r\n\r\n"), end="cut"),
    raw("length of 1 TiB", "none too-large|none truncated", lambda body: http(body, length=1 << 40)),
    raw("encoded transfer", "none http-type|none truncated", with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: gzip\r\n\r\n")),
    raw("switched protocols", "none http-status", lambda body: http(body, status="101 Switching")),
    case("cookies and HSTS are no matter", "secure ok", http={"headers": (
        "Set-Cookie: a=b", "Strict-Transport-Security: max-age=0", "Alt-Svc: h3=:443", "Link: </x>; rel=preload")}),
    case("asked to authenticate", "none http-status", check=asked_once, http={
        "status": "401 Unauthorized", "headers": ("WWW-Authenticate: Basic realm=x",)}),
    raw("interim reply first", "secure ok", lambda body:
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(body)),
    raw("type only in the interim reply", "none http-type", lambda body:
        b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain\r\n\r\n" + http(body, kind=None)),
    raw("no HTTP", "none http-status", lambda body: body),
    raw("SSH", "none http-status", lambda _body: b"SSH-2.0-OpenSSH_9.2\r\n"),
    raw("HTTP/0.9", "none http-status", lambda _body: b"<html>policy</html>"),
    raw("endless head", "none too-large", lambda body: with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + "X: y\r\n" * 50000 + "\r\n")(body)),
    raw("endless header line", "none too-large", lambda body: with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: " + "y" * 300000 + "\r\n\r\n")(body)),
    raw("endless interim replies", "none too-large", lambda body: b"HTTP/1.1 102 Go on\r\n\r\n" * 20000 + http(body)),
    raw("endless body", "none too-large", lambda body: http(body + b"\n" * 5000000, framing="none")),
    raw("endless chunks", "none too-large", lambda body: http(body + b"\n" * 300000, framing="chunked")),
    raw("10 MB by length", "none too-large", lambda body: http(body + b"\n" * 10_000_000)),
    raw("10 MB in large chunks", "none too-large", lambda body: with_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n989680\r\n")(
            b"\n" * 10_000_000) + b"\r\n0\r\n\r\n"),
    raw("10 MB, length left out, clean close", "none too-large", lambda body: http(body + b"\n" * 10_000_000,
                                                                              framing="none")),
    raw("50 MB as gzip", "none http-type", lambda _body: http(BOMB, headers=("Content-Encoding: gzip",))),
    raw("50 MB as deflate in name", "none http-type", lambda _body: http(BOMB, headers=("Content-Encoding: deflate",))),
    raw("50 MB as gzip, not said", "none policy-invalid", lambda _body: http(BOMB)),
    raw("in small pieces", "secure ok", http, drip=50, pause=0.02),
    raw("half a second late", "secure ok", http, before=0.5),
    case("connection refused", "none connect-refused", prepare=at("127.0.0.99")),
    case("private address", "none connect-blocked", prepare=at("10.0.0.1")),
    case("link-local address", "none connect-blocked", prepare=at("169.254.169.254")),
    case("unspecified address", "none connect-blocked", prepare=at("0.0.0.0")),
    case("blocked IPv6 beside a good IPv4", "secure ok", prepare=ipv6("::1")),
    *(case(f"only {where}", "none connect-blocked", prepare=ipv6(where, alone=True)) for where in (
        "::1", "::", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1", "fd00::1", "2001:db8::1",
        "ff02::1")),
    case("second address works", "secure ok", prepare=at("127.0.0.99", "127.0.0.1")),
    case("blocked address beside a good one", "secure ok", prepare=at("10.0.0.1", "127.0.0.1")),
    case("two that refuse, then one that works", "secure ok", prepare=at("127.0.0.98", "127.0.0.99", "127.0.0.1")),
    certified("right name", "secure ok"),
    certified("right name among many", "secure ok", dns_names=[*(f"h{n}.test" for n in range(50)), "mta-sts.DOMAIN"]),
    certified("name in upper case", "secure ok", dns_names=["MTA-STS.DOMAIN"]),
    certified("wildcard as the whole label", "secure ok", dns_names=["*.DOMAIN"]),
    certified("domain only", "none tls-name", dns_names=["DOMAIN"]),
    certified("another host", "none tls-name", dns_names=["www.DOMAIN", "mta-sts.other.test"]),
    certified("partial wildcard", "none tls-name", dns_names=["mta-*.DOMAIN"]),
    certified("partial wildcard in front", "none tls-name", dns_names=["*-sts.DOMAIN"]),
    certified("wildcard one label too high", "none tls-name", dns_names=["*.vectors.test"]),
    certified("wildcard in the middle", "none tls-name", dns_names=["mta-sts.*.vectors.test"]),
    certified("wildcard for all", "none tls-name", dns_names=["*"]),
    certified("two wildcards", "none tls-name", dns_names=["*.*.vectors.test"]),
    named("name in bytes, as a control", "secure ok", b"mta-sts.DOMAIN"),
    named("NUL behind the name", "none tls-name", b"mta-sts.DOMAIN\0.evil.test"),
    named("NUL in front of the name", "none tls-name", b"evil.test\0mta-sts.DOMAIN"),
    named("NUL at the end", "none tls-name", b"mta-sts.DOMAIN\0"),
    named("NUL behind a wildcard", "none tls-name", b"*.DOMAIN\0.evil.test"),
    named("empty name", "none tls-name", b""),
    named("blank at the end", "none tls-name", b"mta-sts.DOMAIN "),
    named("only the dot and the domain", "none tls-name", b".DOMAIN"),
    named("wildcard behind the host's name", "none tls-name", b"mta-sts*.DOMAIN"),
    named("wildcard in the label's middle", "none tls-name", b"mt*s.DOMAIN"),
    named("wildcard in front of the whole name", "none tls-name", b"*mta-sts.DOMAIN"),
    named("wildcard at the very end", "none tls-name", b"mta-sts.DOMAIN*"),
    named("wildcard twice in a label", "none tls-name", b"**.DOMAIN"),
    named("wildcard as an A-label", "none tls-name", b"xn--*.DOMAIN"),
    named("wildcard under the host's name", "none tls-name", b"*.mta-sts.DOMAIN"),
    named("right CN beside a name with NUL", "none tls-name", b"mta-sts.DOMAIN\0.evil.test",
          common_name="mta-sts.DOMAIN"),
    certified("name as URI only", "none tls-name", dns_names=["x.DOMAIN,URI:https://mta-sts.DOMAIN"]),
    certified("name as mail address only", "none tls-name", dns_names=["x.DOMAIN,email:a@mta-sts.DOMAIN"]),
    certified("address of the host only", "none tls-name", dns_names=["x.DOMAIN,IP:127.0.0.1"]),
    certified("expired and of another name", "none tls-expired|none tls-name", dns_names=["x.DOMAIN"], days=-1),
    certified("name in CN only", "none tls-name", dns_names=[], common_name="mta-sts.DOMAIN"),
    certified("name in CN beside another SAN", "none tls-name", dns_names=["x.DOMAIN"], common_name="mta-sts.DOMAIN"),
    certified("expired", "none tls-expired", days=-1),
    certified("self-signed", "none tls-untrusted", self_signed=True),
    Case("certificate: not yet valid", "none tls-not-yet-valid", prepare=not_yet_valid),
    *(case(f"{version.name} only", want, host=lambda domain, version=version: Host(
        http(policy().replace("DOMAIN", domain)), version=version)) for version, want in (
            (MODERN.TLSv1, "none tls-handshake"), (MODERN.TLSv1_1, "none tls-handshake"), (MODERN.TLSv1_2, "secure ok"),
            (MODERN.TLSv1_3, "secure ok"))),
    raw("closed before TLS", "none tls-handshake", http, end="refuse-tls"),
]
