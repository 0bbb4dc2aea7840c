"""demo - the main job as a demonstration: contrib/quickstart runs it in the lab's namespaces.

One message to each of a handful of domains; the table shows what the policy says, what the daemon
made of it, what Sendmail did and what the MX saw. Exit status 0 only when all is as it must be.
"""

import dataclasses
import sys

from lab.world import Lab

ELSEWHERE = ["mail.elsewhere.example"]


@dataclasses.dataclass(frozen=True)
class Scene:
    """A receiving domain, and what must become of mail to it."""

    name: str
    policy: str                # as the table tells it
    mx: tuple                  # MX profiles, by preference
    verdict: str
    fate: str                  # sent, refused or deferred
    mode: str = None
    listed: list = None
    servfail: bool = False
    verified: bool = False     # sent, and the MX's certificate was verified
    taken_by: str = ""         # the profile that takes the message


SCENES = (
    Scene("plain.test", "none", ("self-signed",), "none", "sent", taken_by="self-signed"),
    Scene("testing.test", "testing, MX not listed", ("expired",), "testing", "sent", "testing", ELSEWHERE,
          taken_by="expired"),
    Scene("good.test", "enforce", ("good",), "secure", "sent", "enforce", verified=True, taken_by="good"),
    Scene("wildcard.test", "enforce", ("wildcard",), "secure", "sent", "enforce", verified=True,
          taken_by="wildcard"),
    Scene("unlisted.test", "enforce, MX not listed", ("good",), "refuse", "refused", "enforce", ELSEWHERE),
    Scene("expired.test", "enforce", ("expired",), "secure", "deferred", "enforce"),
    Scene("wrong-name.test", "enforce", ("wrong-name",), "secure", "deferred", "enforce"),
    Scene("clear.test", "enforce", ("no-starttls",), "secure", "deferred", "enforce"),
    Scene("two-mx.test", "enforce", ("expired", "second"), "secure", "sent", "enforce", verified=True,
          taken_by="second"),
    Scene("servfail.test", "cannot be looked up", ("good",), "unknown", "sent", "enforce", servfail=True,
          taken_by="good"),
)
COLUMNS = ("domain", "policy", "MX", "verdict", "Sendmail", "the MX saw", "")


def play(lab, scene):
    """Sends one message to the scene's domain and returns its row of the table."""
    lab.forget_sessions()
    domain = lab.domain(*scene.mx, mode=scene.mode, listed=scene.listed, name=scene.name)
    if scene.servfail:
        lab.dns.servfail(f"_mta-sts.{scene.name}")
    outcome = lab.send(domain.address())
    verdict, reason = lab.daemons.verdict(scene.name)
    right = (verdict == scene.verdict and fate(outcome) == scene.fate
             and (outcome.verify == "OK" or not scene.verified) and is_right_at_mx(lab, scene, domain))
    shown = verdict if reason == "ok" else f"{verdict} ({reason})"
    return (scene.name, scene.policy, ", ".join(scene.mx), shown, told(lab, outcome), seen(lab),
            "ok" if right else "WRONG")


def fate(outcome):
    if outcome.code != 250:
        return "refused" if outcome.text.startswith("4.7.5 ") and outcome.code == 451 else "failed"
    return "sent" if outcome.sent else "deferred" if outcome.deferred else "failed"


def told(lab, outcome):
    if outcome.code != 250:
        return f"refused at RCPT: {outcome.code} {outcome.text.split()[0]}"
    if outcome.sent:
        return "sent" + (f", verify={outcome.verify}" if outcome.verify else "")
    return f"kept: {lab.mta.reason(outcome.delivery)}"


def is_right_at_mx(lab, scene, domain):
    """Mail is where it should be and nowhere else; under enforce nothing ever came in the clear."""
    takers = [label for label, one in lab.mx.items() if one.sessions_with(domain.address())]
    leaked = scene.verdict in ("secure", "refuse") and lab.in_clear()
    return takers == ([scene.taken_by] if scene.taken_by else []) and not leaked


def seen(lab):
    """The sessions of all MXs, in order."""
    return "; ".join(describe(session) for session in lab.sessions()) or "nothing"


def describe(session):
    transport = session.tls or ("clear text" if not session.handshake else "broken handshake")
    mail = "message" if session.messages else "no message"
    sni = f", SNI {session.sni.partition('.')[0]}" if session.sni else ""
    return f"{session.mx}: {mail}, {transport}{sni}"


def print_table(rows):
    widths = [max(len(row[column]) for row in [COLUMNS, *rows]) for column in range(len(COLUMNS))]
    for row in [COLUMNS, tuple("-" * width for width in widths), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main():
    lab = Lab()
    try:
        lab.start()
        rows = [play(lab, scene) for scene in SCENES]
        log = lab.daemons.cached.log_text()
    finally:
        lab.stop()
    print_table(rows)
    print("\nThe daemon's log of the refusal:")
    print("\n".join(line for line in log.splitlines() if "domain=unlisted.test" in line))
    right = all(row[-1] == "ok" for row in rows)
    print("\nAll as it must be." if right else "\nNOT as it must be.")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
