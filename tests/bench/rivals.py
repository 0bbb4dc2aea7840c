"""rivals - cached questions against Debian's postfix-mta-sts-resolver, in the same rounds.

That one fetches from port 443, looks up by resolv.conf and trusts the system's CAs: all of it, and the bench's world,
are started by this file itself in namespaces of their own. It keeps no negative answers: each costs it a look-up.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

import figures
import hits
from stage import SERVER_CORE, TOP, Cached, Stage, World, accepts, free_port, wait_for

sys.path.insert(0, str(TOP / "tests/system"))

from lab import packages  # noqa: E402

PACKAGES = ["postfix-mta-sts-resolver", "python3-uvloop"]
PROGRAMS = TOP / "build/rival-programs"
QUICK = [hits.Point("p", "unix", 1, 1), hits.Point("p", "unix", 64, 1), hits.Point("p", "unix", 64, 16), hits.Point("n", "unix", 8, 1)]
CONFIG = """\
{where}
cache_grace: 86400
cache:
  type: internal
  options:
    cache_size: 100000
"""


class Rival:
    """postfix-mta-sts-resolver with its cache in memory, where no policy grows old; one socket, of `kind`."""

    def __init__(self, stage, world, kind):
        root, path, port = PROGRAMS / "root", stage.directory / "rival.sock", free_port()
        where = {"unix": f"path: {path}", "inet": f"host: 127.0.0.1\nport: {port}"}[kind]
        setattr(self, kind, {"unix": f"unix:{path}", "inet": f"inet:{port}@127.0.0.1"}[kind])
        config, log = stage.directory / f"rival-{kind}.yml", stage.directory / f"rival-{kind}.log"
        config.write_text(CONFIG.format(where=where))
        self.process = stage.start(["env", f"SSL_CERT_FILE={world.ca}", f"PYTHONPATH={root}/usr/lib/python3/dist-packages",
                                    "/usr/bin/python3", root / "usr/bin/mta-sts-daemon", "-c", config], SERVER_CORE, log)
        wait_for(lambda: accepts(getattr(self, kind)), "postfix-mta-sts-resolver does not start")


def bench(stage, report, quick):
    if os.geteuid() != 0:
        report.note("\nrivals: root is needed, nothing was measured")
        return
    packages.fetch(PROGRAMS, PACKAGES)
    report.begin("rivals", "Cached questions: sts-cached and Debian's postfix-mta-sts-resolver in the same rounds", "point",
                 "resolver/s", "ours/s", "ours:resolver", "p99 us resolver, ours", "CPU us resolver, ours")
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
             sys.executable, "-B", __file__, str(stage.build), *(["--quick"] if quick else [])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as inside:
        for line in inside.stdout:
            row = json.loads(line)
            rates, p99, cpu = row["rates"], row["p99_us"], row["cpu_us"]
            report.row(row["point"], figures.show(rates["resolver"], 0), figures.show(rates["ours"], 0), figures.show(row["ratio"]),
                       f"{statistics.median(p99['resolver']):,.0f}, {statistics.median(p99['ours']):,.0f}",
                       f"{statistics.median(cpu['resolver']):.1f}, {statistics.median(cpu['ours']):.1f}", **row)
    if inside.returncode != 0:
        raise SystemExit("bench: rivals failed")


def enter_world(stage):
    """The world is the whole of DNS and HTTPS in here."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    world = World(stage, hits.DOMAINS, ports=(53, 443))
    resolv_conf = stage.directory / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"], check=True)
    return world


def compare(stage, servers, point, rounds, seconds):
    seen = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            seen[name].append(hits.measure(stage, server, point, seconds))
    values = {key: {name: [getattr(one, field) for one in outcomes] for name, outcomes in seen.items()}
              for key, field in (("rates", "rate"), ("p99_us", "p99"), ("cpu_us", "cpu_us"))}
    ratio = figures.ratios(values["rates"]["ours"], values["rates"]["resolver"])
    print(json.dumps({"point": str(point), "ratio": ratio, **values}), flush=True)


def main(build, quick):
    with Stage(pathlib.Path(build)) as stage:
        world = enter_world(stage)
        ours = Cached(stage, world).start()
        rivals = {kind: Rival(stage, world, kind) for kind in ("unix", "inet")}
        for socket in (ours.unix, rivals["unix"].unix, rivals["inet"].inet):
            hits.warm(stage, socket, 0, hits.DOMAINS)
        hits.load(stage, ours.unix, "n", hits.DOMAINS, 16, 1, 0.2)
        for point in QUICK if quick else hits.ALL:
            compare(stage, {"resolver": rivals[point.socket], "ours": ours}, point, *((3, 0.15) if quick else (5, 0.4)))
            ours.trim_log()


if __name__ == "__main__":
    main(sys.argv[1], "--quick" in sys.argv)
