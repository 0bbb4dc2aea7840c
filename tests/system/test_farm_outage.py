"""Redis fails in every way that it can; answers come in time and no policy is forgotten."""

import time

import pytest
from lab.farm import ANSWER_DEADLINE, timed
from lab.process import wait_until

FARM = {"proxy": True}
BACK_S = 12


class Refused:
    """Nothing listens."""
    def begin(self, farm):
        farm.proxy.set("refuse")

    def end(self, farm):
        farm.proxy.set("pass")


class Hung(Refused):
    """SIGSTOP: it takes connections and bytes and says nothing."""
    def begin(self, farm):
        farm.redis.hang()

    def end(self, farm):
        farm.redis.resume()


class Slow(Refused):
    """Each reply is two seconds late."""
    def begin(self, farm):
        farm.proxy.set("slow", delay=2)


class ReadOnly(Refused):
    """A replica that serves reads of the past and takes no writes."""
    def begin(self, farm):
        farm.redis.command("REPLICAOF", "127.0.6.99", "6379")

    def end(self, farm):
        farm.redis.follow(None)


class MasterDown(ReadOnly):
    """A replica without a master that serves nothing."""
    def begin(self, farm):
        farm.redis.set("replica-serve-stale-data", "no")
        super().begin(farm)

    def end(self, farm):
        super().end(farm)
        farm.redis.set("replica-serve-stale-data", "yes")


class OutOfMemory(Refused):
    """Every write is refused with OOM."""
    def begin(self, farm):
        farm.redis.set("maxmemory", "1")

    def end(self, farm):
        farm.redis.set("maxmemory", "0")


class NoAuth(Refused):
    """It wants a password that the nodes do not have."""
    def begin(self, farm):
        farm.redis.set("requirepass", "secret")
        farm.redis.password = "secret"
        farm.proxy.cut()

    def end(self, farm):
        farm.redis.set("requirepass", "")
        farm.redis.password = None


class Killed(Refused):
    """kill -9; it comes back empty."""
    def begin(self, farm):
        farm.redis.kill()

    def end(self, farm):
        farm.redis.start()


OUTAGES = {kind.__name__: kind() for kind in
           (Refused, Hung, Slow, ReadOnly, MasterDown, OutOfMemory, NoAuth, Killed)}


def known(farm):
    """A domain that one node alone has been asked about, and all hold."""
    domain = farm.sources.new_domain()
    assert farm.nodes[0].verdict(domain)["verdict"] == "secure"
    farm.wait_until_all_hold(domain)
    return domain


def check_answers(farm, old, new):
    """The policy that any node knew is what all answer with; new ones come from the source; in time."""
    for node in farm.nodes:
        for domain in old:
            answer, took = timed(lambda domain=domain: node.verdict(domain))
            assert answer["verdict"] == "secure" and took < ANSWER_DEADLINE, (node.number, answer, took)
    for node, domain in zip(farm.nodes, new):
        answer, took = timed(lambda node=node, domain=domain: node.verdict(domain))
        assert answer["verdict"] == "secure" and took < ANSWER_DEADLINE + 0.5, (node.number, answer, took)


@pytest.mark.parametrize("kind", OUTAGES)
def test_outage(farm, kind):
    """While Redis is away the nodes answer in time from what they have or fetch; when it is back they
    use it again by themselves, and what each has learnt meanwhile is there for the others."""
    outage, processes = OUTAGES[kind], [node.process.child.pid for node in farm.nodes]
    old = [known(farm), known(farm)]
    new = farm.sources.new_domains(3)
    outage.begin(farm)
    try:
        check_answers(farm, old, new)
        time.sleep(0.5)
        check_answers(farm, old, [])
    finally:
        outage.end(farm)
    _, took = timed(lambda: wait_until(lambda: all(farm.record(domain) for domain in new), "not written back", BACK_S))
    print(f"{kind}: written back after {took:.1f} s")
    wait_until(lambda: all(node.holds(domain) for domain in new for node in farm.nodes), "not told to all", BACK_S)
    assert [farm.sources.fetches(domain) for domain in new + old] == [1] * 5
    later = farm.sources.new_domain()
    wait_until(lambda: farm.nodes[0].verdict(later)["verdict"] == "secure" and farm.record(later), "not in use", BACK_S)
    assert farm.nodes[1].verdict(later)["verdict"] == "secure" and farm.sources.fetches(later) == 1
    assert [node.process.child.pid for node in farm.nodes] == processes


def test_orders_while_redis_is_away(farm):
    """Whoever gives an order hears that the other nodes do not know of it yet; they do when Redis is back."""
    one, two = known(farm), known(farm)
    node = farm.nodes[0]
    assert node.json("nodes")["redis_away"] is False
    farm.proxy.set("refuse")
    try:
        wait_until(lambda: node.stat("redis_up") == 0, "Redis is not missed")
        for domain, words, status in ((one, ["--force"], 0), (two, ["--wait"], 2)):
            result = node.stsctl("flush", domain, *words)
            assert result.returncode == status, result
            assert "Redis is away: this node alone has done it, the others follow" in result.stdout
        assert "Redis is away" in node.stsctl("refresh", two).stdout
        reply = node.json("flush", "*", "--wait")
        assert (reply["redis_away"], reply["nodes"], reply["exit"]) == (True, [], 2)
        assert "Redis is away" in node.stsctl("nodes").stdout and node.json("nodes")["redis_away"] is True
        assert farm.nodes[1].holds(one)
    finally:
        farm.proxy.set("pass")
    wait_until(lambda: not any(one_of.holds(one) for one_of in farm.nodes), "not forgotten by all", BACK_S)


def test_killed_redis_is_filled_again(farm):
    """A Redis that lost everything gets back what the nodes hold, the old as well as the new."""
    old = known(farm)
    farm.redis.kill()
    farm.redis.start()
    wait_until(lambda: farm.record(old), "what was known before is not there again", 30)


def test_loading_after_a_restart(farm):
    """A Redis that loads a dump for some seconds after its restart is away until it has done so."""
    domains = farm.sources.new_domains(60)
    assert {answer["verdict"] for answer in farm.nodes[0].verdicts(domains).values()} <= {"secure", "pending"}
    wait_until(lambda: all(farm.record(domain) for domain in domains), "not stored", 20)
    farm.redis.command("SAVE")
    farm.redis.kill()
    # Some milliseconds a key, with a look at the clients after each.
    farm.redis.start("--key-load-delay", "25000", "--loading-process-events-interval-bytes", "1024")
    new = farm.sources.new_domain()
    answer, took = timed(lambda: farm.nodes[1].verdict(new))
    assert answer["verdict"] == "secure" and took < ANSWER_DEADLINE
    assert farm.nodes[2].verdict(domains[0])["verdict"] == "secure"
    wait_until(lambda: farm.redis.command("INFO", "persistence").count(b"\nloading:0"), "it loads too long", 60)
    wait_until(lambda: farm.record(new), "not written back", BACK_S)
    assert {farm.sources.fetches(domain) for domain in [*domains, new]} == {1}
    (farm.redis.directory / "dump.rdb").unlink()


def test_policy_changed_while_redis_was_away(farm):
    """Each node's own fetch of a newer policy reaches the others when Redis is back; the older one that
    another node holds never replaces it."""
    domain = known(farm)
    farm.proxy.set("refuse")
    farm.sources.publish(domain, 2)
    assert farm.nodes[1].stsctl("refresh", domain).returncode == 0
    assert farm.nodes[0].verdict(domain)["id"] == "serial1"
    farm.proxy.set("pass")
    wait_until(lambda: farm.ids(domain) == ["serial2"] * 3, "the newer one does not win", BACK_S)
    time.sleep(1)
    assert farm.ids(domain) == ["serial2"] * 3 and b"\nid: serial2\n" in farm.record(domain)


def test_forced_flush_while_redis_is_away(farm):
    """What was forgotten by force on one node is forgotten by all when Redis is back."""
    domain = known(farm)
    farm.ask_all(domain)
    farm.proxy.set("refuse")
    farm.sources.host(domain).raw = b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"
    assert farm.nodes[0].stsctl("flush", domain, "--force").returncode == 0
    farm.proxy.set("pass")
    wait_until(lambda: not any(node.holds(domain) for node in farm.nodes), "not forgotten by all", BACK_S)
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["none"] * 3


def test_flush_wait_without_redis(farm):
    """Without Redis nobody can confirm: the flush is done here, and its status says that."""
    domain = known(farm)
    farm.proxy.set("refuse")
    result, took = timed(lambda: farm.nodes[0].stsctl("flush", domain, "--wait"))
    assert result.returncode == 2 and took < 20


def test_newcomer_without_redis_says_unknown(farm):
    """A node that came too late to copy does not say `none` where others may know a policy; it says
    `unknown` for a domain whose source fails, and knows it when Redis is back."""
    domain, fetchable = known(farm), farm.sources.new_domain()
    farm.proxy.set("refuse")
    saved = farm.sources.dns.records.pop((f"_mta-sts.{domain}", "TXT"))
    late = farm.add_node()
    answer, took = timed(lambda: late.verdict(domain))
    assert answer["verdict"] == "unknown" and answer["reason"] == "redis" and took < ANSWER_DEADLINE, answer
    assert late.verdict(fetchable)["verdict"] == "secure"
    farm.proxy.set("pass")
    wait_until(lambda: late.holds(domain), "it never copies", BACK_S)
    assert late.verdict(domain)["verdict"] == "secure"
    farm.sources.dns.records[f"_mta-sts.{domain}", "TXT"] = saved
    farm.nodes.remove(late)
    assert late.stop() == 0
