"""million - what many policies cost: memory, disk, the start, the daily refresh."""

import os
import time

from hits import load
from stage import Cached, World, wait_for, accepts, cpu_seconds, LOAD_CORE

QUICK, ALL = (1000, 10000, 30000), (1000, 10000, 100000, 1000000)
ROOM = 'memory-size = "4G" store-size = "4G"'


def private_bytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def drop_from_page_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_answer(stage, cached):
    """Milliseconds from the start of the program until it has answered for a policy that is only on disk."""
    drop_from_page_cache(cached.directory / "state/policies.mdb")
    began = time.monotonic()
    cached.process = stage.start([stage.program("sts-cached"), "-f", "-c", cached.config], cached.core, cached.log)
    while not accepts(cached.unix):
        time.sleep(0.001)
    load(stage, cached.unix, "p", 1, 1, 1, 10, 1, core=None)
    return (time.monotonic() - began) * 1000


def name_bytes(count):
    """The domains and their one mx pattern each."""
    return sum(2 * len(f"p{number}-bench.test") + len("mx.") for number in range(count))


def stored(stage, world, name, count, due=0):
    """A sts-cached, not started, whose store has that many policies, of which `due` are to be refreshed at once."""
    cached = Cached(stage, world, name, ROOM)
    state = cached.directory / "state"
    state.mkdir(mode=0o700)
    stage.run(stage.program("fill"), state, count, due, core=None, timeout=900)
    return cached, os.stat(state / "policies.mdb").st_blocks * 512


def start(stage, world, report, counts):
    """Returns the one with the most policies, which goes on running."""
    report.begin("million", "Policies, one mx pattern each: the store, and from start to the first answer (page cache without "
                 "the store)", "policies", "store MiB", "bytes a policy", "first answer ms")
    for count in counts:
        cached, size = stored(stage, world, f"million-{count}", count)
        started = first_answer(stage, cached)
        report.row(f"{count:,}", f"{size / 2**20:.1f}", f"{size / count:.0f}", f"{started:.0f}", store=size, first_answer_ms=started)
        if count < counts[-1]:
            cached.stop()
            cached.forget()
    return cached


def growth(stage, cached, report, counts):
    """What an entry costs is how much more memory more of them take. What the process needs for itself, work space for
    the look-ups that run at once, is there from the first thousands on."""
    report.begin("memory", "The largest of these: the first so many policies asked for, memory then; an entry's bytes are those from "
                 "the row above to this one", "policies", "questions/s", "memory grown MiB", "by its own account MiB",
                 "bytes an entry", "without the names")
    empty, before = private_bytes(cached.process), None
    for count in counts:
        outcome = load(stage, cached.unix, "p", count, 4, 16, 600, count, core=LOAD_CORE, timeout=900)
        wait_for(lambda: settled(cached.process), "the memory does not settle", 120)
        grown, account = private_bytes(cached.process) - empty, cached.stats()["cache"]["policy_bytes"]
        row = [f"{count:,}", f"{outcome.rate:,.0f}", f"{grown / 2**20:.1f}", f"{account / 2**20:.1f}", "-", "-"]
        if before is not None:
            more = count - before[0]
            each, names = (grown - before[1]) / more, (name_bytes(count) - name_bytes(before[0])) / more
            row[4:] = f"{each:.0f}", f"{each - names:.0f}"
        report.row(*row, grown=grown, account=account, rate=outcome.rate)
        before = count, grown
    report.note(f"The process itself grew by {(grown - each * count) / 2**20:.1f} MiB.")


def refreshing(cached, due):
    stats = cached.stats()
    return stats["refreshes"] < due or stats["resolutions_running"] > 0


DAY_S, REFRESHED_AFTER = 86400, 0.7  # of a day, on the average


def refresh(stage, report, quick):
    """Some of those stored come due at once; what a whole day brings follows from the pace and the cost of each."""
    count, due = (10000, 160) if quick else (1000000, 1600)
    world = World(stage, due)
    report.begin("refresh", f"{count:,} policies stored, of which {due:,} come due: looked up, fetched, stored",
                 "", "seconds", "a second", "CPU us each", "bytes then, without names", "hours for a day's share", "of a core all day")
    cached, _ = stored(stage, world, "refresh", count, due)
    cached.start()
    cpu, began = cpu_seconds(cached.process), time.monotonic()
    while refreshing(cached, due) and time.monotonic() < began + due:
        time.sleep(1)
    seconds, cpu = time.monotonic() - began, cpu_seconds(cached.process) - cpu
    stats, share = cached.stats(), count / REFRESHED_AFTER
    if stats["refreshes"] != due or stats["refreshes_failed"] > 0 or stats["cache"]["policies"] != due:
        raise SystemExit("bench: not all that was due is refreshed")
    each = (stats["cache"]["policy_bytes"] - name_bytes(due)) / due
    report.row("all good", f"{seconds:.1f}", f"{due / seconds:.0f}", f"{cpu / due * 1e6:,.0f}", f"{each:.0f}",
               f"{share / (due / seconds) / 3600:.1f}", f"{share * cpu / due / DAY_S:.2%}",
               seconds=seconds, due=due, cpu_s=cpu, bytes=each)
    cached.stop()


def bench(stage, report, quick):
    counts = QUICK if quick else ALL
    cached = start(stage, World(stage, 0), report, counts)
    growth(stage, cached, report, counts)
    cached.stop()
    cached.forget()
    refresh(stage, report, quick)


def settled(process):
    """What was begun in the background for the questions has ended."""
    before = private_bytes(process)
    time.sleep(1)
    return abs(private_bytes(process) - before) < 100000
