"""What one node of the farm learns, all know; each policy is fetched once."""

import signal
import statistics
import subprocess
import threading
import time

from lab.farm import timed
from lab.process import wait_until
from vectors.asker import Asker

MANY = 1000
EVENT_MEDIAN_S = 0.05
EVENT_ROUNDS = 60


def ask_until_known(node, domains, seconds=60):
    """Asks for all of them, again for those for which time was up (on a busy machine before TXT was there, too),
    as an MTA does. Returns the other verdicts that were not secure."""
    end, left, odd = time.monotonic() + seconds, list(domains), []
    while left and time.monotonic() < end:
        answers = node.verdicts(left)
        odd += [answer for answer in answers.values()
                if answer["verdict"] not in ("secure", "pending") and answer["reason"] != "deadline"]
        left = [domain for domain in left if answers[domain]["verdict"] != "secure"]
    assert not left, f"node{node.number}: {len(left)} never known, such as {left[:3]}"
    return odd


def ask_everywhere(nodes, domains):
    """All nodes are asked for all domains at the same time."""
    odd, faults = [], []

    def run(node):
        try:
            odd.extend(ask_until_known(node, domains))
        except AssertionError as fault:
            faults.append(str(fault))
    threads = [threading.Thread(target=run, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    return threads, odd, faults


def test_one_fetch_serves_all(farm):
    """A policy that one node has fetched is what the others answer with, without a fetch of their own."""
    first, second, third = farm.nodes
    domain = farm.sources.new_domain()
    assert first.verdict(domain)["source"] == "fetch"
    answers = [node.verdict(domain) for node in (second, third)]
    assert [answer["verdict"] for answer in answers] == ["secure", "secure"]
    assert all(answer["source"] in ("redis", "lmdb", "memory") for answer in answers)
    assert farm.sources.fetches(domain) == 1


def test_failure_is_shared(farm):
    """A policy host that fails is asked by one node, and not again by the next one minutes long."""
    domain = farm.sources.new_domain()
    farm.sources.host(domain).raw = b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n"
    answers = farm.ask_all(domain)
    assert {(answer["verdict"], answer["reason"]) for answer in answers} == {("none", "http-status")}
    assert farm.sources.fetches(domain) == 1


def test_thousand_new_domains_at_three_nodes(farm):
    """Three nodes asked for the same thousand new domains at once cause exactly a thousand fetches."""
    domains = farm.sources.new_domains(MANY)
    (threads, odd, faults), begin = ask_everywhere(farm.nodes, domains), time.monotonic()
    for thread in threads:
        thread.join()
    print(f"{MANY} domains at {len(farm.nodes)} nodes in {time.monotonic() - begin:.1f} s")
    assert not faults and not odd, (faults, odd[:5])
    counts = [farm.sources.fetches(domain) for domain in domains]
    assert (sum(counts), max(counts)) == (MANY, 1)


def test_node_killed_in_the_middle(farm):
    """A node killed amid its fetches costs at most one more fetch for each that it had begun."""
    domains = farm.sources.new_domains(MANY // 2)
    victim, others = farm.nodes[0], farm.nodes[1:]
    with victim.asker() as asker:
        for domain in domains:
            asker.send(f"verdict {domain}")
        threads, odd, faults = ask_everywhere(others, domains)
        wait_until(lambda: sum(map(farm.sources.fetches, domains)) > MANY // 10, "no fetch begins")
        victim.kill()
    for thread in threads:
        thread.join()
    assert not faults and not odd, (faults, odd[:5])
    counts = [farm.sources.fetches(domain) for domain in domains]
    print(f"fetched twice: {sum(count == 2 for count in counts)} of {len(domains)}")
    assert min(counts) >= 1 and max(counts) <= 2
    # It runs at most 256 at a time.
    assert sum(count == 2 for count in counts) <= 256


def seconds_until(node, domain, wanted, begin):
    """How long after `begin` the node answers with this id; each question is answered from memory."""
    with node.asker() as asker:
        while time.monotonic() < begin + 5:
            if f" id={wanted} " in asker.ask(f"verdict {domain}"):
                return time.monotonic() - begin
    raise AssertionError(f"node{node.number} never answers with {wanted}")


def seconds_at_the_others(teller, watchers, domain, wanted):
    """How long each takes, counted from when the teller itself answers with it."""
    found = []
    seconds_until(teller, domain, wanted, time.monotonic())
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda node=node: found.append(seconds_until(node, domain, wanted, begin)))
               for node in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(watchers)
    return found


def test_events_take_milliseconds(farm):
    """A policy replaced on one node is what the others answer with 50 ms after it was stored (median)."""
    domain, times = farm.sources.new_domain(), []
    farm.ask_all(domain)
    for serial in range(2, EVENT_ROUNDS + 2):
        teller = farm.nodes[serial % 3]
        farm.sources.publish(domain, serial)
        watchers = [node for node in farm.nodes if node is not teller]
        with Asker(teller.control_socket) as order:
            order.send(f"flush {domain}")
            found = seconds_at_the_others(teller, watchers, domain, f"serial{serial}")
            assert '"exit":0' in order.receive()
        times += found
    times.sort()
    median, late = statistics.median(times), times[len(times) * 99 // 100]
    print(f"{len(times)} events: median {median * 1000:.1f} ms, p99 {late * 1000:.1f} ms")
    assert median < EVENT_MEDIAN_S


def test_late_joiner_copies_all(farm):
    """A node that joins later copies every policy into its own store, and answers without a fetch when
    Redis and the policy host are gone."""
    domains = farm.sources.new_domains(100)
    ask_until_known(farm.nodes[0], domains)
    late = farm.add_node()
    wait_until(lambda: set(domains) <= late.held(), "not all copied", 20)
    farm.redis.kill()
    answers = late.verdicts(domains)
    assert {answer["verdict"] for answer in answers.values()} == {"secure"}
    assert {farm.sources.fetches(domain) for domain in domains} == {1}
    farm.redis.start()
    farm.nodes.remove(late)
    assert late.stop() == 0


def test_restarted_node_asks_redis(farm):
    """A node that lost its disk answers from Redis."""
    domain = farm.sources.new_domain()
    farm.nodes[0].verdict(domain)
    second = farm.nodes[1]
    assert second.stop() == 0
    second.forget()
    second.start()
    assert second.verdict(domain)["verdict"] == "secure"
    assert farm.sources.fetches(domain) == 1


def redis_cli(farm, *words):
    return subprocess.run(["redis-cli", "-h", farm.redis.address, *words], capture_output=True, text=True,
                          check=True).stdout


def test_readable_with_redis_cli(farm):
    """An operator reads records, their lives, the index and the nodes with redis-cli."""
    domain = farm.sources.new_domain(max_age=7200)
    farm.nodes[0].verdict(domain)
    text = redis_cli(farm, "GET", f"sts:r:{domain}")
    assert text.startswith(f"sts1 policy\ndomain: {domain}\nseq: ")
    assert "\nid: serial1\n" in text and f"\nmx: mx.{domain}\n" in text and "\nmac: " in text
    assert 7100 < int(redis_cli(farm, "TTL", f"sts:r:{domain}")) <= 7200
    score = float(redis_cli(farm, "ZSCORE", "sts:index", domain))
    assert 7000 < score - time.time() < 7300
    assert farm.nodes[0].name() in redis_cli(farm, "--raw", "HGETALL", "sts:nodes")
    assert domain in redis_cli(farm, "XREVRANGE", "sts:e", "+", "-", "COUNT", "10000")


def test_nodes_come_and_go(farm):
    """`stsctl nodes` names every node; one that ends well leaves the list, one that was killed stays."""
    names = {node.name() for node in farm.nodes}
    assert len(names) == 3
    third, gone = farm.nodes[2], farm.nodes[2].name()
    assert third.stop() == 0
    assert gone not in {one["name"] for one in farm.nodes[0].json("nodes")["nodes"]}
    third.start()
    farm.wait_until_joined()
    third.kill()
    assert gone in {one["name"] for one in farm.nodes[0].json("nodes")["nodes"]}


def test_reload_leaves_the_farm_as_it_is(farm):
    """SIGHUP, twice, and after it the farm works as before: events, orders, a loss of Redis, a clean end."""
    first, second, _ = farm.nodes
    for count in (1, 2):
        first.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: first.log_text().count("reloaded") == count, "it does not reload", 10)
    domain = farm.sources.new_domain()
    second.verdict(domain)
    wait_until(lambda: first.holds(domain), "the event does not arrive", 10)
    farm.redis.kill()
    farm.redis.start()
    wait_until(lambda: first.stat("redis_up") == 1, "Redis is not found again", 10)
    assert first.stsctl("flush", domain, "--wait").returncode == 0
    assert first.stop() == 0
    first.start()


def test_node_that_was_cut_off_catches_up(farm):
    """What happened while a node hung is what it answers with once it runs again."""
    domain = farm.sources.new_domain()
    farm.ask_all(domain)
    third = farm.nodes[2]
    third.hang()
    farm.sources.publish(domain, 2)
    assert farm.nodes[0].stsctl("flush", domain).returncode == 0
    third.resume()
    _, took = timed(lambda: wait_until(lambda: third.verdict(domain)["id"] == "serial2", "it never catches up", 10))
    print(f"caught up after {took * 1000:.0f} ms")
    assert farm.sources.fetches(domain) == 2


def test_deleted_stream_leads_to_a_copy(farm):
    """A stream that was deleted, with a change that nobody was told of: the nodes notice and copy again."""
    domain = farm.sources.new_domain()
    farm.nodes[0].verdict(domain)
    farm.wait_until_all_hold(domain)
    third = farm.nodes[2]
    third.hang()
    farm.sources.publish(domain, 2)
    assert farm.nodes[0].stsctl("flush", domain).returncode == 0
    farm.redis.command("DEL", "sts:e")
    third.resume()
    wait_until(lambda: third.verdict(domain)["id"] == "serial2", "the gap goes unnoticed", 30)
    assert farm.sources.fetches(domain) == 2


def test_flushed_redis_is_filled_again(farm):
    """After FLUSHALL all that the nodes hold is written back."""
    domains = farm.sources.new_domains(20)
    ask_until_known(farm.nodes[0], domains)
    farm.wait_until_all_hold(*domains[:3])
    farm.redis.command("FLUSHALL")
    wait_until(lambda: all(farm.record(domain) for domain in domains), "not written back", 30)
    wait_until(lambda: len(farm.nodes[0].json("nodes")["nodes"]) == 3, "the nodes are not there again", 30)
    assert {farm.sources.fetches(domain) for domain in domains} == {1}
