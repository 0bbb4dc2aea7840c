"""cold - domains nobody has asked about: how many a second, and what cached questions feel of it."""

import figures
from hits import Bare, load, warm
from stage import Cached, World, cpu_seconds, ELSEWHERE, LOAD_CORE, SERVER_CORE

AT_ONCE = 64


def fetch_by_bare(stage, world, first, count):
    """Domains a second, and processor time for one."""
    words = [stage.program("bare_cold"), world.dns_port, world.https_port, world.ca, first, count, AT_ONCE]
    fields = stage.run(*words, core=SERVER_CORE).split()
    return float(fields[2]), float(fields[3])


def fetch_by_ours(stage, cached, first, count, *hang_every):
    before = cpu_seconds(cached.process)
    outcome = load(stage, cached.unix, "once", first, count, AT_ONCE, 1, *hang_every)
    outcome.cpu_us = (cpu_seconds(cached.process) - before) / count * 1e6
    return outcome


def with_hanging(stage, report, quick):
    """The same number of domains, without and with one in a hundred whose policy host hangs."""
    count, rounds = (500, 1) if quick else (10000, 3)
    world = World(stage, count)
    report.begin("hanging", f"{count} cold domains over 512 connections, of which none or 1 % hang for 20 s; seconds until "
                 f"all others were answered, {rounds} rounds", "", "none hang", "1 % hang", "ratio")
    took = {0: [], 100: []}
    for number in range(rounds):
        for every, seen in took.items():
            cached = Cached(stage, world, f"hanging-{number}-{every}").start()
            seen.append(load(stage, cached.unix, "once", 0, count, 512, 1, *([every] if every else [])).good_seconds)
            cached.stop()
    report.row("all others", figures.show(took[0]), figures.show(took[100]), figures.show(figures.ratios(took[100], took[0])),
               seconds=took)


PACE, HOT = 1000, 200


def pace(stage, server, seconds):
    fields = stage.run(stage.program("pace"), server.unix, "p", HOT, PACE, seconds).split()
    return float(fields[3]), float(fields[4])


def while_fetching(stage, report, quick):
    """Cached questions at a steady rate, while nothing else happens and while cold domains come in. What the machine
    itself adds when both cores are busy is seen at a bare server, which is asked at the same rate meanwhile."""
    count, rounds, seconds = (1000, 3, 0.4) if quick else (3600, 7, 1.5)
    world = World(stage, HOT + rounds * count, elsewhere=True)
    cached, bare = Cached(stage, world, "meanwhile", core=None).start(), Bare(stage, "bare_epoll", core=None)
    warm(stage, cached.unix, 0, HOT)
    report.begin("meanwhile", f"{PACE} cached questions a second, idle and while cold domains are fetched {AT_ONCE} at once; "
                 f"{rounds} rounds of {seconds} s", "", "idle us", "fetching us", "ratio", "bare epoll meanwhile us",
                 "ratio to that", "cold/s meanwhile")
    idle, busy, control, rates = [], [], [], []
    for number in range(rounds):
        idle.append(pace(stage, cached, seconds))
        words = [*ELSEWHERE, stage.program("load"), cached.unix, "once", HOT + number * count, count, AT_ONCE, 1]
        cold = stage.start(words, LOAD_CORE)
        busy.append(pace(stage, cached, seconds))
        control.append(pace(stage, bare, seconds))
        fetched = cold.poll() is None
        rates.append(float(cold.stdout.readline().split()[2]))
        stage.end(cold)
        if not fetched:
            report.note("the cold domains did not last: the figures of this round are too good")
    for name, which in (("p50", 0), ("p99", 1)):
        still, moved, base = [[one[which] for one in all_] for all_ in (idle, busy, control)]
        report.row(name, figures.show(still, 0), figures.show(moved, 0), figures.show(figures.ratios(moved, still)),
                   figures.show(base, 0), figures.show(figures.ratios(moved, base)), figures.show(rates, 0), idle=still,
                   busy=moved, bare=base)


def throughput(stage, report, quick):
    count, rounds = (300, 3) if quick else (2000, 5)
    world = World(stage, count * rounds)
    ours = {"on the client's core": Cached(stage, world).start(), "on any core": Cached(stage, world, "free", core=None).start()}
    report.begin("cold", f"Cold domains, {AT_ONCE} at once: TXT, addresses, fresh TLS, policy file; {rounds} rounds of "
                 f"{count} domains, the bare client (a single thread) on one core, world on the other", "sts-cached", "bare/s",
                 "ours/s", "ours:bare", "CPU us bare", "CPU us ours", "CPU ours:bare")
    theirs, their_cpu = [], []
    seen = {name: [] for name in ours}
    for number in range(rounds):
        rate, cpu_us = fetch_by_bare(stage, world, number * count, count)
        theirs.append(rate)
        their_cpu.append(cpu_us)
        for name, cached in ours.items():
            seen[name].append(fetch_by_ours(stage, cached, number * count, count))
    for name, all_ in seen.items():
        rates, cpu = [one.rate for one in all_], [one.cpu_us for one in all_]
        report.row(name, figures.show(theirs, 0), figures.show(rates, 0), figures.show(figures.ratios(rates, theirs)),
                   figures.show(their_cpu, 0), figures.show(cpu, 0), figures.show(figures.ratios(cpu, their_cpu)),
                   rates={"bare": theirs, "ours": rates}, cpu_us={"bare": their_cpu, "ours": cpu})
    for cached in ours.values():
        cached.stop()


def bench(stage, report, quick):
    throughput(stage, report, quick)
    with_hanging(stage, report, quick)
    while_fetching(stage, report, quick)
