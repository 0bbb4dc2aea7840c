"""recipients - processor time a recipient, of sts-milter with sts-cached behind it and of a milter that does nothing.

Speaks the milter protocol itself: an MTA's own work would drown the difference. Holds on a busy machine, too.
"""

import pathlib
import sys

import figures
import hits
from stage import SERVER_CORE, TOP, Cached, World, accepts, cpu_seconds, wait_for

sys.path.insert(0, str(TOP / "tests/system"))

from miltertalk import MilterTalk  # noqa: E402

MESSAGES, RECIPIENTS = 40, 50


class Child:
    """The one that serves, of sts-milter's two processes."""

    def __init__(self, parent):
        self.pid = int(pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])


def cost(path, processes, domains):
    """Microseconds a recipient that these processes used together."""
    with MilterTalk(str(path), 60) as talk:
        talk.negotiate()
        before = sum(map(cpu_seconds, processes))
        for number in range(MESSAGES):
            talk.mail()
            for n in range(RECIPIENTS):
                assert talk.rcpt(f"bob@{domains[n % len(domains)]}").accepted
            talk.end_of_message(f"Q{number}")
        return (sum(map(cpu_seconds, processes)) - before) / (MESSAGES * RECIPIENTS) * 1e6


def bench(stage, report, quick):
    world = World(stage, hits.DOMAINS)
    cached = Cached(stage, world).start()
    hits.warm(stage, cached.unix, 0, hits.DOMAINS)
    paths = {name: stage.directory / f"{name}.sock" for name in ("bare", "ours")}
    config, log = stage.directory / "milter.conf", stage.directory / "milter.log"
    config.write_text(f'socket = "unix:{paths["ours"]}"\ncache = "{cached.unix}"\nprocesses = 1\n')
    bare = stage.start([stage.program("bare_milter"), f"unix:{paths['bare']}"], SERVER_CORE)
    ours = stage.start([stage.program("sts-milter"), "-f", "-c", config], SERVER_CORE, log)
    wait_for(lambda: all(accepts(f"unix:{path}") for path in paths.values()), "a milter does not start")
    processes = {"bare": [bare], "ours": [Child(ours), cached.process]}
    report.begin("recipients", f"Processor time a recipient, us: {RECIPIENTS} recipients a message, cached domains; sts-milter with "
                 "sts-cached, and a milter that does nothing", "", "bare", "ours", "ours:bare")
    for what, domains in (("at one domain", ["p0-bench.test"]), ("each at another", [f"p{n}-bench.test" for n in range(RECIPIENTS)])):
        seen = {name: [] for name in paths}
        for _ in range(3 if quick else 7):
            for name, path in paths.items():
                seen[name].append(cost(path, processes[name], domains))
        wanted = f"rcpts={RECIPIENTS} asked={RECIPIENTS} refused=0 deferred=0 none=0 testing=0 secure={RECIPIENTS} "
        assert wanted in log.read_text().splitlines()[-1], "not every recipient had its verdict"
        ratio = figures.ratios(seen["ours"], seen["bare"])
        report.row(what, figures.show(seen["bare"], 1), figures.show(seen["ours"], 1), figures.show(ratio), ratio=ratio, cpu_us=seen)
