"""million - what many policies cost: memory, disk, the start."""

import os
import time

from hits import load
from stage import Cached, World, wait_for, accepts, LOAD_CORE

QUICK, ALL = (1000, 30000), (1000, 10000, 100000, 1000000)
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
    """A domain and its one mx pattern, on the average."""
    domain = sum(len(f"p{number}.bench.test") for number in range(count)) / count
    return 2 * domain + len("mx.")


def bench(stage, report, quick):
    world = World(stage, 0)
    report.begin("million", "Policies, one mx pattern each: the store, from start to the first answer (page cache without "
                 "the store), all asked for once, memory then", "policies", "store MiB", "first answer ms", "first question/s",
                 "bytes an entry", "without the names")
    for count in QUICK if quick else ALL:
        cached = Cached(stage, world, f"million-{count}", ROOM)
        state = cached.directory / "state"
        state.mkdir(mode=0o700)
        stage.run(stage.program("fill"), state, count, core=None, timeout=900)
        size = os.stat(state / "policies.mdb").st_blocks * 512
        started = first_answer(stage, cached)
        empty = private_bytes(cached.process)
        outcome = load(stage, cached.unix, "p", count, 4, 16, 600, count, core=LOAD_CORE, timeout=900)
        wait_for(lambda: settled(cached.process), "the memory does not settle", 120)
        each = (private_bytes(cached.process) - empty) / count
        report.row(f"{count:,}", f"{size / 2**20:.1f}", f"{started:.0f}", f"{outcome.rate:,.0f}", f"{each:.0f}",
                   f"{each - name_bytes(count):.0f}", bytes=each, store=size, first_answer_ms=started, rate=outcome.rate)
        cached.stop()
        cached.forget()


def settled(process):
    """What was begun in the background for the questions has ended."""
    before = private_bytes(process)
    time.sleep(1)
    return abs(private_bytes(process) - before) < 100000
