"""txt_cases - TXT records at _mta-sts (RFC 8461 s3.1; requirements A, ambiguities 1-7)."""

from vectors.case import Case

LONG = "e=" + "x" * 300


def taken(name, *records, identity="1"):
    return Case(f"txt: {name}", "secure ok", records=records, fields={"id": identity, "mode": "enforce"})


def bad(name, *records):
    return Case(f"txt: {name}", "none bad-record", records=records, fields={"mode": "-", "id": "-"})


def absent(name, *records):
    return Case(f"txt: {name}", "none no-record", records=records, fields={"mode": "-", "id": "-"})


def several(name, *records):
    return Case(f"txt: {name}", "none several-records", records=records, fields={"mode": "-"})


TXT_CASES = [
    taken("as in the RFC", "v=STSv1; id=20160831085700Z;", identity="20160831085700Z"),
    taken("no blank, no last delimiter", "v=STSv1;id=1"),
    taken("no last delimiter", "v=STSv1; id=1"),
    taken("no blanks", "v=STSv1;id=1;"),
    taken("tabs and blanks round each delimiter", "v=STSv1;\t id=1 \t; \t"),
    taken("blank before the first delimiter of a lone record", "v=STSv1 ; id=1"),
    taken("one letter", "v=STSv1; id=a", identity="a"),
    taken("32 characters", "v=STSv1; id=" + "aZ09" * 8, identity="aZ09" * 8),
    taken("leading zeros stay", "v=STSv1; id=0001", identity="0001"),
    taken("extension behind", "v=STSv1; id=1; ext=val"),
    taken("extension before", "v=STSv1; ext=val; id=1;"),
    taken("extension named with all signs", "v=STSv1; id=1; a_b-c.d9=!#$%&'()*+,-./:<>?@[]^_`{|}~"),
    taken("extension's name of 32 characters", "v=STSv1; id=1; " + "n" * 32 + "=v"),
    taken("extension starting with a digit", "v=STSv1; id=1; 9=v"),
    taken("extension id in upper case", "v=STSv1; ID=2; id=1"),
    taken("extension longer than a string", f"v=STSv1; {LONG}; id=1"),
    taken("many extensions", "v=STSv1; " + "".join(f"x{n}=y; " for n in range(80)) + "id=1;"),
    taken("id twice: the first", "v=STSv1; id=1; id=2"),
    taken("id twice, the second bad", "v=STSv1; id=1; id=b-a-d"),
    taken("version twice", "v=STSv1; id=1; v=STSv1"),
    taken("version twice, the second another", "v=STSv1; v=STSv2; id=1"),
    taken("strings joined without a blank", ("v=STS", "v1; i", "d=1;")),
    taken("strings joined inside the id", ("v=STSv1; id=1", "2"), identity="12"),
    taken("one string a byte", tuple("v=STSv1; id=1;")),
    taken("empty strings between", ("", "v=STSv1;", "", "id=1", "")),
    taken("others beside it", "v=spf1 -all", "v=STSv1; id=1", "google-site-verification=x"),
    taken("empty record beside it", "", "v=STSv1; id=1"),
    taken("thirty others beside it", *(f"verification-{n}=" + "y" * 40 for n in range(30)), "v=STSv1; id=1"),
    taken("another version beside it", "v=STSv2; id=2", "v=STSv1; id=1"),
    taken("a lower-case one beside it", "v=stsv1; id=2", "v=STSv1; id=1"),
    taken("a bare version beside it", "v=STSv1", "v=STSv1; id=1"),
    taken("blank before the delimiter is discarded among several", "v=STSv1 ; id=2", "v=STSv1; id=1"),
    taken("a leading blank beside it", " v=STSv1; id=2", "v=STSv1; id=1"),
    bad("no id", "v=STSv1;"),
    bad("no id but an extension", "v=STSv1; ext=1"),
    bad("id in upper case only", "v=STSv1; ID=1"),
    bad("empty id", "v=STSv1; id="),
    bad("empty id and delimiter", "v=STSv1; id=;"),
    bad("33 characters", "v=STSv1; id=" + "1" * 33),
    bad("300 characters", "v=STSv1; id=" + "1" * 300),
    bad("hyphen in the id", "v=STSv1; id=2026-01-01"),
    bad("underscore in the id", "v=STSv1; id=a_b"),
    bad("dot in the id", "v=STSv1; id=1.0"),
    bad("blank in the id", "v=STSv1; id=1 2"),
    bad("blank before =", "v=STSv1; id =1"),
    bad("blank behind =", "v=STSv1; id= 1"),
    bad("quoted id", 'v=STSv1; id="1"'),
    bad("letter beyond ASCII in the id", "v=STSv1; id=é"),
    bad("NUL in the id", b"v=STSv1; id=1\0002"),
    bad("NUL behind the id", b"v=STSv1; id=1\0"),
    bad("bad id first, a good one second", "v=STSv1; id=-; id=1"),
    bad("trailing blank", "v=STSv1; id=1 "),
    bad("trailing newline", "v=STSv1; id=1;\n"),
    bad("carriage return for a blank", "v=STSv1;\rid=1"),
    bad("no-break space for a blank", b"v=STSv1;\xa0id=1"),
    bad("two delimiters at the end", "v=STSv1; id=1;;"),
    bad("two delimiters in the middle", "v=STSv1;; id=1"),
    bad("comma for a delimiter", "v=STSv1; id=1, ext=2"),
    bad("field without =", "v=STSv1; id=1; ext"),
    bad("field without a name", "v=STSv1; id=1; =x"),
    bad("field without a value", "v=STSv1; id=1; ext="),
    bad("= in a value", "v=STSv1; id=1; ext=a=b"),
    bad("blank in a value", "v=STSv1; id=1; ext=a b"),
    bad("UTF-8 in a value", "v=STSv1; id=1; ext=ä"),
    bad("name of 33 characters", "v=STSv1; id=1; " + "n" * 33 + "=v"),
    bad("name starting with a hyphen", "v=STSv1; id=1; -n=v"),
    bad("joined strings lack the delimiter", ("v=STSv1; id=1", "ext=2")),
    absent("another record only", "v=spf1 -all"),
    absent("empty record only", ""),
    absent("version in lower case", "v=stsv1; id=1"),
    absent("V in upper case", "V=STSv1; id=1"),
    absent("another version", "v=STSv2; id=1"),
    absent("a longer version", "v=STSv10; id=1"),
    absent("blank before the version", " v=STSv1; id=1"),
    absent("blanks round =", "v = STSv1; id=1"),
    absent("version last", "id=1; v=STSv1;"),
    absent("quotes as bytes", '"v=STSv1; id=1;"'),
    absent("byte-order mark", b"\xef\xbb\xbfv=STSv1; id=1"),
    absent("NUL before the version", b"\0v=STSv1; id=1"),
    absent("NUL in the version", b"v=STS\0v1; id=1"),
    absent("split record is not two", "v=STSv1", "; id=1"),
    absent("two with a blank before the delimiter", "v=STSv1 ; id=1", "v=STSv1 ; id=2"),
    several("two good ones", "v=STSv1; id=1", "v=STSv1; id=2"),
    several("the same twice, written differently", "v=STSv1; id=1", "v=STSv1; id=1;"),
    several("a good and a broken one", "v=STSv1; id=1", "v=STSv1; id=-"),
    several("a good one and one without id", "v=STSv1; id=1", "v=STSv1;"),
    several("three, and others", "v=STSv1;id=1", "x", "v=STSv1;id=2", "v=STSv1;id=3"),
]
