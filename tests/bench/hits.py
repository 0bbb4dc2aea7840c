"""hits - cached questions against the bare servers: throughput and p99, in alternating rounds."""

import dataclasses
import statistics

import figures
from stage import Cached, World, accepts, cpu_seconds, free_port, wait_for, SERVER_CORE

DOMAINS = 1000


@dataclasses.dataclass(frozen=True)
class Point:
    kind: str  # p: has a policy, n: has none
    socket: str
    connections: int
    depth: int

    def __str__(self):
        return f"{'policy' if self.kind == 'p' else 'none'} {self.socket} {self.connections}x{self.depth}"


ALL = [Point(kind, socket, connections, depth) for kind in "pn" for socket in ("unix", "inet")
       for connections in (1, 8, 64) for depth in (1, 16)]
QUICK = [Point("p", "unix", 1, 1), Point("p", "unix", 64, 16), Point("n", "unix", 8, 1), Point("n", "inet", 64, 1),
         Point("n", "inet", 8, 16)]


class Bare:
    """One of the servers that do nothing else."""

    def __init__(self, stage, name, core=SERVER_CORE):
        self.unix, self.inet = f"unix:{stage.directory}/{name}.sock", f"inet:{free_port()}@127.0.0.1"
        self.process = stage.start([stage.program(name), self.unix, self.inet], core,
                                   stage.directory / f"{name}.log")
        wait_for(lambda: accepts(self.unix), f"{name} does not start")


@dataclasses.dataclass
class Outcome:
    rate: float
    p50: float
    p99: float
    longest: float
    seconds: float
    count: int
    good_seconds: float = 0  # until the last answer that was no refusal
    cpu_us: float = 0  # of the server, a question


def load(stage, *words, **options):
    fields = stage.run(stage.program("load"), *words, **options).split()
    return Outcome(rate=float(fields[2]), p50=float(fields[3]), p99=float(fields[4]), longest=float(fields[5]),
                   seconds=float(fields[1]), count=int(fields[0]), good_seconds=float(fields[6]))


def warm(stage, socket, first, count):
    """Has every policy of these fetched. What a busy machine does not bring in time it brings a little later."""
    for attempt in range(4):
        try:
            load(stage, socket, "once", first, count, 16, 1)
            return
        except SystemExit:
            if attempt == 3:
                raise


def measure(stage, server, point, seconds):
    before = cpu_seconds(server.process)
    outcome = load(stage, getattr(server, point.socket), point.kind, DOMAINS, point.connections, point.depth, seconds)
    outcome.cpu_us = (cpu_seconds(server.process) - before) / outcome.count * 1e6
    return outcome


def bench(stage, report, quick, points=None):
    world = World(stage, DOMAINS)
    cached = Cached(stage, world).start()
    servers = {"epoll": Bare(stage, "bare_epoll"), "bufferevent": Bare(stage, "bare_event"), "ours": cached}
    warm(stage, cached.unix, 0, DOMAINS)
    load(stage, cached.unix, "n", DOMAINS, 16, 1, 0.2)
    seconds, rounds = (0.15, 3) if quick else (0.4, 7)
    report.begin("hits", "Cached questions: rate and p99 against the bare epoll server, median (range) of "
                 f"{rounds} rounds of {seconds} s each", "point", "epoll/s", "ours/s", "ours:epoll", "p99 ours:epoll",
                 "bufferevent:epoll", "CPU us epoll, ours")
    for point in points or (QUICK if quick else ALL):
        seen = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                seen[name].append(measure(stage, server, point, seconds))
            cached.trim_log()
        rates = {name: [one.rate for one in all_] for name, all_ in seen.items()}
        p99s = {name: [one.p99 for one in all_] for name, all_ in seen.items()}
        cpu = {name: [one.cpu_us for one in all_] for name, all_ in seen.items()}
        ours = figures.ratios(rates["ours"], rates["epoll"])
        late = figures.ratios(p99s["ours"], p99s["epoll"])
        report.row(point, figures.show(rates["epoll"], 0), figures.show(rates["ours"], 0), figures.show(ours),
                   figures.show(late), figures.show(figures.ratios(rates["bufferevent"], rates["epoll"])),
                   f"{statistics.median(cpu['epoll']):.2f}, {statistics.median(cpu['ours']):.2f}",
                   ratio=ours, p99_ratio=late, rates=rates, p99_us=p99s, cpu_us=cpu)
