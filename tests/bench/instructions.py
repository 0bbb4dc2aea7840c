"""instructions - what a cached question costs the processor, counted by callgrind: the same on a busy machine.

Counted are the program's own instructions, the kernel's are not: the cost of 5,000 more questions, divided.
"""

import shutil
import subprocess

from hits import load, warm
from stage import Cached, World, accepts, wait_for

DOMAINS, FEW, MORE = 200, 1000, 6000
PATIENCE_S = 120


def total(path):
    with open(path, encoding="utf-8") as lines:
        return int([line for line in lines if line.startswith(("summary:", "totals:"))][-1].split()[1])


class Counted:
    """A program under callgrind."""

    def __init__(self, stage, name, words, address):
        self.stage, self.address, self.out, self.parts = stage, address, stage.directory / f"{name}.callgrind", 0
        self.process = stage.start(["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.out}", *words], None,
                                   stage.directory / f"{name}.log")
        wait_for(lambda: accepts(address), f"{name} does not start under callgrind", PATIENCE_S)

    def count(self, kind, connections, depth, questions):
        self.control("--zero")
        load(self.stage, self.address, kind, DOMAINS, connections, depth, 600, questions, timeout=600)
        self.control("--dump")
        self.parts += 1
        return total(f"{self.out}.{self.parts}")

    def control(self, order):
        subprocess.run(["callgrind_control", order, str(self.process.pid)], capture_output=True, check=True,
                       timeout=PATIENCE_S)

    def each(self, kind, connections, depth):
        return (self.count(kind, connections, depth, MORE) - self.count(kind, connections, depth, FEW)) / (MORE - FEW)


def bench(stage, report, _quick):
    if shutil.which("valgrind") is None:
        report.note("\ninstructions: valgrind is not there, nothing was counted")
        return
    world = World(stage, DOMAINS)
    cached = Cached(stage, world, core=None).start()
    warm(stage, cached.unix, 0, DOMAINS)
    cached.stop()
    ours = Counted(stage, "ours", [stage.program("sts-cached"), "-f", "-c", cached.config], cached.unix)
    theirs = Counted(stage, "bare", [stage.program("bare_epoll"), f"unix:{stage.directory}/counted.sock"],
                     f"unix:{stage.directory}/counted.sock")
    for kind in "pn":
        load(stage, cached.unix, kind, DOMAINS, 4, 1, 600, 2 * DOMAINS, timeout=600)
    report.begin("instructions", "Instructions a cached question, in the program itself, with its log line", "", "bare epoll", "ours")
    for kind, name in (("p", "policy"), ("n", "none")):
        for connections, depth in ((1, 1), (8, 16)):
            mine, bare = ours.each(kind, connections, depth), theirs.each(kind, connections, depth)
            report.row(f"{name} {connections}x{depth}", f"{bare:,.0f}", f"{mine:,.0f}", ours=mine, bare=bare)
