"""Sentinel fails Redis over under load; no verdict is wrong and no question waits long."""

import time

from lab.farm import REDIS_ADDRESS
from lab.load import Load
from lab.process import wait_until

FARM = {"sentinels": True}
KNOWN, PLAIN = 60, 60
USED_AGAIN_S = 20


def known_world(farm):
    """Domains with their right verdicts, all policies held by all nodes and by the replica."""
    policies = farm.sources.new_domains(KNOWN)
    farm.nodes[0].verdicts(policies)
    wait_until(lambda: all(set(policies) <= node.held() for node in farm.nodes), "not held by all", 20)
    plain = [farm.sources.plain_domain() for _ in range(PLAIN)]
    return {**dict.fromkeys(policies, {"secure"}), **dict.fromkeys(plain, {"none"})}


def is_shared(farm, server):
    """True when what the first node fetches is in `server` and with the second node."""
    domain = farm.sources.new_domain()
    farm.nodes[0].verdict(domain)
    try:
        return server.command("EXISTS", f"sts:r:{domain}") == 1 and farm.nodes[1].holds(domain)
    except OSError:
        return False


def fail_over_under_load(farm, hurt, new_master):
    """Runs `hurt` in the midst of a load of known and of new domains."""
    wanted = known_world(farm)
    known = [domain for domain, verdicts in wanted.items() if verdicts == {"secure"}]
    with Load(farm.nodes, wanted) as load:
        time.sleep(1)
        begin, used_after = time.monotonic(), None
        hurt()
        while used_after is None:
            assert time.monotonic() < begin + USED_AGAIN_S, "the new master is not used"
            load.add(farm.sources.new_domain(), {"secure"})
            time.sleep(0.1)
            if farm.sentinels[0].master()[0] == new_master.address and is_shared(farm, new_master):
                used_after = time.monotonic() - begin
        time.sleep(1)
    print(f"in use {used_after:.1f} s after the blow; {load.summary()}")
    load.check(least=300)
    assert {farm.sources.fetches(domain) for domain in known} == {1}


def test_master_killed_under_load(farm):
    """kill -9 of the master: the nodes follow to the replica, with zero wrong verdicts meanwhile."""
    assert farm.sentinels[0].master()[0] == REDIS_ADDRESS
    fail_over_under_load(farm, farm.redis.kill, farm.replica)
    farm.redis.start()
    farm.redis.follow(farm.replica)
    farm.replica.wait_for_replica()


def test_master_hung_under_load(farm):
    """A master that hangs and later wakes as a false master: the nodes follow, and stay."""
    wait_until(lambda: all(sentinel.sees(1, 2) for sentinel in farm.sentinels), "the replica is not known", 30)
    fail_over_under_load(farm, farm.replica.hang, farm.redis)
    farm.replica.resume()
    assert farm.replica.role() == "master"
    for _ in range(5):
        assert is_shared(farm, farm.redis)
    farm.replica.follow(farm.redis)  # Sentinel would do so after ten seconds


def test_ordered_failover(farm):
    """SENTINEL FAILOVER: the nodes are told by +switch-master and go on within a second or two."""
    wait_until(lambda: all(sentinel.sees(1, 2) for sentinel in farm.sentinels), "the replica is not known", 30)
    farm.redis.wait_for_replica()
    fail_over_under_load(farm, lambda: farm.sentinels[0].command("SENTINEL", "FAILOVER", "farm"), farm.replica)
