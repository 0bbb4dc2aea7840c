"""Nodes, Redis and its master's seat are killed, hung and moved at random under a constant load."""

import os
import random
import time

from lab.load import Load
from lab.process import wait_until

FARM = {"sentinels": True}
SECONDS = 45
KNOWN, ORPHANS, PLAIN = 40, 40, 40
SETTLE_S = 40


class Chaos:
    """Draws what happens next. What it has hurt it heals after a while; one Redis and two nodes are
    always left alone, so that there is somebody to answer."""

    def __init__(self, farm, seed, refreshable):
        """`refreshable`: domains whose source is there."""
        self.farm, self.choice, self.refreshable = farm, random.Random(seed), refreshable
        self.healing = []  # (when, what, name of the part)
        self.log = []

    def run(self, seconds):
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            self.heal(time.monotonic())
            if self.choice.random() < 0.5:
                self.strike(time.monotonic() - begin)
            time.sleep(0.7)
        self.heal(None)

    def heal(self, now):
        """What is due at `now`; None: all."""
        for one in [one for one in self.healing if now is None or one[0] <= now]:
            self.healing.remove(one)
            one[1]()

    def later(self, part, heal):
        self.healing.append((time.monotonic() + self.choice.uniform(0.3, 4), heal, part))

    def strike(self, at):
        kind = self.choice.choice(("kill-node", "hang-node", "stop-node", "kill-redis", "hang-redis", "drop-clients",
                                   "failover", "refresh"))
        kinds = {part for _, _, part in self.healing}
        if kind.endswith("-node") and "node" not in kinds:
            self.hurt_node(kind)
        elif kind.endswith("-redis") and "redis" not in kinds:
            self.hurt_redis(kind)
        elif kind == "drop-clients" and "redis" not in kinds:
            self.master().drop_clients()
        elif kind == "failover" and "redis" not in kinds:
            try:
                self.farm.sentinels[0].command("SENTINEL", "FAILOVER", "farm")
            except Exception as why:  # no good replica yet, or one is under way
                kind += f" ({why})"
        elif kind == "refresh":
            domain = self.choice.choice(self.refreshable)
            self.farm.nodes[0].stsctl("refresh", domain)
        else:
            return
        self.log.append(f"{at:.1f} {kind}")

    def hurt_node(self, kind):
        node = self.choice.choice(self.farm.nodes[1:])
        if kind == "hang-node":
            node.hang()
            self.later("node", node.resume)
        else:
            node.kill() if kind == "kill-node" else node.end()
            self.later("node", node.start)

    def master(self):
        address = self.farm.sentinels[0].master()[0]
        return next(one for one in (self.farm.redis, self.farm.replica) if one.address == address)

    def hurt_redis(self, kind):
        victim = self.choice.choice((self.farm.redis, self.farm.replica))
        if kind == "hang-redis":
            victim.hang()
            self.later("redis", victim.resume)
        else:
            victim.kill()
            self.later("redis", victim.start)


def take_source_away(farm, domain):
    farm.sources.host(domain).raw = b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"
    farm.sources.dns.remove(f"_mta-sts.{domain}", "TXT")


def test_chaos(farm):
    """Under a minute of blows from a printed seed no verdict is wrong, no policy is lost, and no
    question waits beyond the deadline."""
    seed = int(os.environ.get("STS_CHAOS_SEED") or time.time())
    print(f"seed {seed}; again with STS_CHAOS_SEED={seed}")
    known, orphans = farm.sources.new_domains(KNOWN), farm.sources.new_domains(ORPHANS)
    farm.nodes[0].verdicts(known + orphans)
    wait_until(lambda: all(set(known + orphans) <= node.held() for node in farm.nodes), "not held by all", 20)
    for domain in orphans:
        take_source_away(farm, domain)
    plain = [farm.sources.plain_domain() for _ in range(PLAIN)]
    # A node that has just started and finds no Redis does not know that there is no policy.
    wanted = {**dict.fromkeys(known + orphans, {"secure"}), **dict.fromkeys(plain, {"none", "unknown"})}
    chaos = Chaos(farm, seed, known)
    with Load(farm.nodes, wanted, seed) as load:
        chaos.run(SECONDS)
        begin = time.monotonic()
        wait_until(lambda: is_whole(farm, known + orphans), "the farm is not whole again", SETTLE_S)
        print(f"whole {time.monotonic() - begin:.1f} s after the last blow")
    print(f"{len(chaos.log)} blows: " + "; ".join(chaos.log))
    print(load.summary())
    assert len(chaos.log) >= SECONDS // 4
    load.check(least=2000)


def is_whole(farm, domains):
    """Every node and the Redis of the moment hold every policy, and the nodes see each other."""
    try:
        address = farm.sentinels[0].master()[0]
        master = next(one for one in (farm.redis, farm.replica) if one.address == address)
        return (all(set(domains) <= node.held() for node in farm.nodes)
                and all(master.command("EXISTS", f"sts:r:{domain}") for domain in domains)
                and all(len(node.json("nodes")["nodes"]) == len(farm.nodes) for node in farm.nodes))
    except OSError:
        return False
