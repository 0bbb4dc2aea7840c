"""bench - runs the parts that are asked for; see contrib/bench."""

import argparse
import datetime
import os
import platform

import figures
import cold
import hits
import instructions
import mail
import million
import recipients
import rivals
from stage import Stage

PARTS = {"hits": hits.bench, "cold": cold.bench, "million": million.bench,
         "instructions": instructions.bench, "mail": mail.bench, "rivals": rivals.bench,
         "recipients": recipients.bench}
QUICK = ("hits", "cold", "million")  # in under a minute


def main():
    parser = argparse.ArgumentParser(prog="contrib/bench", description="Measures sts-cached and sts-milter.")
    parser.add_argument("build", help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"of {', '.join(PARTS)}; all by default, with --quick {', '.join(QUICK)}. mail:WORDS: "
                             "only those of its rows that hold these words")
    parser.add_argument("--quick", action="store_true", help="fewer points and rounds: under a minute")
    parser.add_argument("--json", action="store_true", help="every value measured, at the end")
    options = parser.parse_intermixed_args()
    parts = [word.partition(":") for word in options.parts or (QUICK if options.quick else PARTS)]
    for name, colon, _ in parts:
        if name not in PARTS or (colon and name != "mail"):
            parser.error(f"no such part: {name}{colon}")
    report = figures.Report(options.json)
    report.note(f"{datetime.date.today()}, {os.cpu_count()} cores, Linux {platform.release()}, load average "
                f"{os.getloadavg()[0]:.1f}")
    for name, _, only in parts:
        with Stage(options.build, only) as stage:
            PARTS[name](stage, report, options.quick)
    report.end()


if __name__ == "__main__":
    main()
