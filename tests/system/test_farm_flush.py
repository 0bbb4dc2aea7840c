"""An operator's flush on one node is a forced fetch for the whole farm, and weakens nothing."""

import threading
import time

from lab.farm import timed
from lab.process import wait_until

FLUSH_UNSEEN_S = 15


def known_everywhere(farm, **options):
    """A domain whose policy all nodes have in memory."""
    domain = farm.sources.new_domain(**options)
    assert {answer["verdict"] for answer in farm.ask_all(domain)} == {"secure"}
    return domain


def fail(farm, domain):
    farm.sources.host(domain).raw = b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n"


def confirmed(reply):
    return {node["name"]: node["confirmed"] for node in reply["nodes"]}


def test_flush_of_a_domain(farm):
    """When `flush X --wait` returns, every node answers with the new policy, which was fetched once."""
    domain = known_everywhere(farm)
    farm.sources.publish(domain, 2)
    reply = farm.nodes[1].json("flush", domain, "--wait")
    assert confirmed(reply) == {node.name(): True for node in farm.nodes} and reply["exit"] == 0
    assert farm.ids(domain) == ["serial2"] * 3
    assert farm.sources.fetches(domain) == 2
    # The disks of all have it: they are read when memory is gone and Redis, too.
    farm.redis.kill()
    for node in farm.nodes:
        node.kill()
        node.start()
    assert farm.ids(domain) == ["serial2"] * 3


def test_flush_of_a_glob(farm):
    """A glob fetches anew what it names and nothing else."""
    one, two, other = (known_everywhere(farm) for _ in range(3))
    for domain in (one, two, other):
        farm.sources.publish(domain, 2)
    for domain in (one, two):
        number = domain.split(".")[0]
        reply = farm.nodes[0].json("flush", f"{number}.*", "--wait")
        assert reply["renewed"] == 1 and all(confirmed(reply).values())
    assert farm.ids(one) == farm.ids(two) == ["serial2"] * 3
    assert farm.sources.fetches(other) == 1


def test_flush_of_all(farm):
    """`--all` fetches every policy once for all nodes."""
    domains = [known_everywhere(farm) for _ in range(5)]
    counts = [farm.sources.fetches(domain) for domain in domains]
    for domain in domains:
        farm.sources.publish(domain, 9)
    reply = farm.nodes[2].json("flush", "--all", "--wait")
    assert reply["exit"] == 0 and all(confirmed(reply).values())
    assert [farm.ids(domain) for domain in domains] == [["serial9"] * 3] * 5
    assert [farm.sources.fetches(domain) for domain in domains] == [count + 1 for count in counts]


def test_flush_forgets_negatives_everywhere(farm):
    """A domain that had no record and has one now: after a flush on one node all nodes see it."""
    domain = farm.sources.new_domain()
    record = farm.sources.dns.records.pop((f"_mta-sts.{domain}", "TXT"))
    assert {answer["reason"] for answer in farm.ask_all(domain)} == {"no-record"}
    farm.sources.dns.records[f"_mta-sts.{domain}", "TXT"] = record
    assert {answer["reason"] for answer in farm.ask_all(domain)} == {"no-record"}
    farm.nodes[0].stsctl("flush", domain, "--wait")
    assert {answer["verdict"] for answer in farm.ask_all(domain)} == {"secure"}
    assert farm.sources.fetches(domain) == 1


def test_flush_never_weakens(farm):
    """A failing source keeps the policy on every node; the exit status says so."""
    domain = known_everywhere(farm)
    fail(farm, domain)
    result = farm.nodes[0].stsctl("flush", domain, "--wait")
    assert result.returncode == 2, result
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["secure"] * 3
    assert farm.record(domain).startswith(b"sts1 policy\n")


def test_force_forgets_in_memory_disk_and_redis(farm):
    """`--force` forgets the policy on every node, in memory, LMDB and Redis, and leaves a tombstone."""
    domain = known_everywhere(farm)
    fail(farm, domain)
    result = farm.nodes[0].stsctl("flush", domain, "--force", "--wait")
    assert result.returncode == 0, result
    assert farm.record(domain).startswith(b"sts1 tombstone\n")
    assert not any(node.holds(domain) for node in farm.nodes)
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["none"] * 3
    for node in farm.nodes:
        node.kill()
        node.start()
    assert not any(node.holds(domain) for node in farm.nodes)


def test_force_reaches_a_node_that_was_away(farm):
    """A node that was dead when a policy was forgotten does not bring it back, nor answer with it."""
    domain = known_everywhere(farm)
    third = farm.nodes[2]
    third.kill()
    fail(farm, domain)
    assert farm.nodes[0].stsctl("flush", domain, "--force").returncode == 0
    third.start()
    wait_until(lambda: not third.holds(domain), "it keeps what was forgotten", 20)
    time.sleep(1)
    assert farm.record(domain).startswith(b"sts1 tombstone\n")
    assert third.verdict(domain)["verdict"] == "none"


def test_policy_after_force(farm):
    """What is fetched after a forced flush counts again, on all nodes."""
    domain = known_everywhere(farm)
    farm.sources.publish(domain, 2)
    assert farm.nodes[0].stsctl("flush", domain, "--force", "--wait").returncode == 0
    assert farm.ids(domain) == ["serial2"] * 3
    assert farm.sources.fetches(domain) == 2


def test_dead_node_is_named(farm):
    """A node that does not confirm is named after at most 15 s, and the exit status is not 0."""
    domain = known_everywhere(farm)
    third = farm.nodes[2]
    names = [node.name() for node in farm.nodes]
    third.hang()
    reply, took = timed(lambda: farm.nodes[0].json("flush", domain, "--wait"))
    assert confirmed(reply) == {names[0]: True, names[1]: True, names[2]: False}
    assert reply["exit"] == 2 and took < FLUSH_UNSEEN_S + 3
    third.resume()
    wait_until(lambda: all(confirmed(farm.nodes[0].json("flush", domain, "--wait")).values()), "it never confirms", 30)


def test_fetch_under_way_does_not_bring_the_old_policy_back(farm):
    """A slow fetch that began before a forced flush ends after it: its policy stays forgotten."""
    domain = farm.sources.new_domain()
    host = farm.sources.host(domain)
    assert farm.nodes[0].verdict(domain)["id"] == "serial1"
    farm.wait_until_all_hold(domain)
    host.before = 3
    asked = threading.Thread(target=farm.nodes[1].stsctl, args=("refresh", domain))
    asked.start()
    wait_until(lambda: farm.sources.fetches(domain) == 2, "no fetch begins")
    farm.sources.publish(domain, 1, hosts=["new.elsewhere.test"])
    host.before = 0
    assert farm.nodes[0].stsctl("flush", domain, "--force", "--wait").returncode == 0
    asked.join()
    time.sleep(0.5)
    assert f"\nmx: mx.{domain}\n".encode() not in (farm.record(domain) or b"")
    answers = farm.ask_all(domain)
    assert [answer["mx"] for answer in answers] == ["new.elsewhere.test"] * 3, answers


def test_flush_of_what_is_not_held(farm):
    """A domain that no node knows: exit 1."""
    assert farm.nodes[0].stsctl("flush", farm.sources.new_domain(), "--wait").returncode == 1
