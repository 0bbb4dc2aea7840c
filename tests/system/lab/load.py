"""load - a constant stream of questions to every node, each answer judged as it comes."""

import random
import threading
import time

from lab.farm import ANSWER_DEADLINE
from vectors.asker import Closed, verdict_fields

RATE = 40  # questions a second and thread
GRACE = 1.0  # for a sanitized build on a busy machine, and for the asker itself


class Load:
    """`wanted`: domain -> set of verdicts that are right. Answers are counted, faults kept as text."""

    def __init__(self, nodes, wanted, seed=1, threads=2):
        self.wanted, self.running = dict(wanted), True
        self.domains = list(self.wanted)
        self.answers, self.longest, self.faults, self.times = 0, 0.0, [], []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(node, random.Random(f"{seed} {node.number} {n}")),
                                         daemon=True) for node in nodes for n in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.running = False
        for thread in self.threads:
            thread.join(ANSWER_DEADLINE + 20)

    def add(self, domain, verdicts):
        self.wanted[domain] = verdicts
        self.domains.append(domain)

    def _run(self, node, choice):
        while self.running:
            try:
                with node.asker() as asker:
                    while self.running:
                        self._ask(node, asker, choice.choice(self.domains))
                        time.sleep(1 / RATE)
            except TimeoutError:
                if not node.is_hurt:
                    self._fault(f"node{node.number}: no answer at all")
            except (Closed, OSError):
                time.sleep(0.05)  # killed: its askers come again

    def _ask(self, node, asker, domain):
        began, hurt_before = time.monotonic(), node.hurts
        fields = verdict_fields(asker.ask(f"verdict {domain}"))
        took = time.monotonic() - began
        was_hurt = node.is_hurt or node.hurts != hurt_before  # hung by the test meanwhile
        with self.lock:
            self.answers += 1
            self.times.append(took)
            if not was_hurt:
                self.longest = max(self.longest, took)
        if took > ANSWER_DEADLINE + GRACE and not was_hurt:
            self._fault(f"node{node.number} {domain}: {took:.2f} s")
        if fields["verdict"] not in self.wanted[domain]:
            self._fault(f"node{node.number} {domain}: {fields['verdict']} reason={fields['reason']} "
                        f"source={fields['source']}")

    def _fault(self, text):
        with self.lock:
            self.faults.append(text)

    def check(self, least):
        assert self.answers >= least, f"only {self.answers} answers"
        assert not self.faults, f"{len(self.faults)} faults of {self.answers} answers:\n" + "\n".join(self.faults[:20])

    def summary(self):
        times = sorted(self.times)
        return (f"{self.answers} answers, median {times[len(times) // 2] * 1000:.1f} ms, "
                f"p99 {times[len(times) * 99 // 100] * 1000:.1f} ms, longest {self.longest * 1000:.0f} ms")
