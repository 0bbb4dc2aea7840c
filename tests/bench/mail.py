"""mail - starts the system tests' lab in namespaces of its own and has mail_inside.py measure there."""

import json
import os
import subprocess

import figures
from stage import TOP

ENTER = 'here=$0; . "$here/enter"; enter_lab /usr/bin/python3 -B "$@"'


def bench(stage, report, quick):
    if os.geteuid() != 0:
        report.note("\nmail: root is needed, nothing was measured")
        return
    report.begin("mail", "Messages a second that Sendmail and Postfix accept and keep in their queues, with a milter that does "
                 "nothing and with sts-milter", "", "bare/s", "ours/s", "ours:bare")
    environment = {**os.environ, "STS_LAB_BUILD": str(stage.build), "STS_LAB_CACHE": str(TOP / "build/lab-programs"),
                   "STS_LAB_LOGS": str(stage.directory / "lab-logs")}
    words = ["bash", "-c", ENTER, TOP / "tests/system", TOP / "tests/bench/mail_inside.py", "--rounds", 1 if quick else 5,
             "--only", stage.only]
    with subprocess.Popen([str(word) for word in words], env=environment, stdout=subprocess.PIPE, text=True) as inside:
        for line in inside.stdout:
            row = json.loads(line)
            report.row(f"{row['mta']}: {row['what']}", figures.show(row["rates"]["bare"], 0), figures.show(row["rates"]["ours"], 0),
                       figures.show(row["ratio"]), **row)
    if inside.returncode != 0:
        raise SystemExit("bench: the mail lab failed")
