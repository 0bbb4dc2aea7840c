"""Whoever can write to Redis without the farm's key can make no node believe anything."""

import subprocess
import time

import pytest
from lab.daemons import program
from lab.farm import KEY, timed
from lab.forger import NO_KEY, failure_record, policy_record, sign, tombstone_record, unsigned
from lab.process import wait_until
from vectors.internet import BUILD, policy

OTHER_KEY = "a7" * 32
LOCK_MAX_S = 5
EVIL = policy("enforce", ["mx.evil.test"])


def put(farm, domain, record):
    farm.redis.command("SET", f"sts:r:{domain}", record, "EX", "3600")


def signed_policy(farm, domain):
    """What the farm itself would have written; no node has seen it."""
    return policy_record(domain, policy("enforce", [f"mx.{domain}"]), KEY)


def test_the_forger_can_sign(farm):
    """The control of all below: a record under the farm's key is believed, without a fetch."""
    domain = farm.sources.new_domain()
    put(farm, domain, policy_record(domain, EVIL, KEY))
    answer = farm.nodes[0].verdict(domain)
    assert (answer["mx"], answer["source"]) == ("mx.evil.test", "redis")
    assert farm.sources.fetches(domain) == 0


def of_another_domain(farm, domain):
    return signed_policy(farm, farm.sources.new_domain())


UNUSABLE = {
    "altered": lambda farm, domain: signed_policy(farm, domain).replace(b"mx: mx.", b"mx: nx."),
    "longer-life": lambda farm, domain: signed_policy(farm, domain).replace(b"max_age: 86400", b"max_age: 86499"),
    "raised-seq": lambda farm, domain: signed_policy(farm, domain).replace(b"\nseq: 1", b"\nseq: 2"),
    "truncated": lambda farm, domain: signed_policy(farm, domain)[:-80],
    "last-byte-lost": lambda farm, domain: signed_policy(farm, domain)[:-1],
    "appended": lambda farm, domain: signed_policy(farm, domain) + b"mx: mx.evil.test\n",
    "empty-mac": lambda farm, domain: unsigned(signed_policy(farm, domain)) + b"mac: \n",
    "no-mac": lambda farm, domain: unsigned(signed_policy(farm, domain)),
    "forged-policy": lambda farm, domain: policy_record(domain, EVIL, OTHER_KEY),
    "forged-with-zero-key": lambda farm, domain: policy_record(domain, EVIL, NO_KEY),
    "forged-failure": lambda farm, domain: failure_record(domain, OTHER_KEY),
    "forged-tombstone": lambda farm, domain: tombstone_record(domain, OTHER_KEY, 900000000000000000),
    "of-another-domain": of_another_domain,
    "garbage": lambda farm, domain: bytes(range(256)) * 20,
    "huge": lambda farm, domain: b"x" * 10_000_000,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_record_is_refused(farm, kind):
    """A record that the farm did not sign, or not for this domain, is counted and alarmed once; the
    node goes to the source, and what it finds replaces the record."""
    domain, node = farm.sources.new_domain(), farm.nodes[0]
    refused = node.stat("redis_refused")
    put(farm, domain, UNUSABLE[kind](farm, domain))
    answer, took = timed(lambda: node.verdict(domain))
    assert (answer["verdict"], answer["mx"], answer["source"]) == ("secure", f"mx.{domain}", "fetch"), answer
    assert took < 4 and farm.sources.fetches(domain) == 1
    assert node.stat("redis_refused") > refused
    alarms = [line for line in node.log_text().splitlines() if "alarm" in line and f" {domain} " in line]
    assert len(alarms) == 1, alarms
    assert farm.record(domain).startswith(f"sts1 policy\ndomain: {domain}\n".encode())
    assert farm.nodes[1].verdict(domain)["mx"] == f"mx.{domain}" and farm.sources.fetches(domain) == 1


def test_key_that_is_no_string(farm):
    """A list where a record should be is not believed either, and costs no more than a fetch."""
    domain = farm.sources.new_domain()
    farm.redis.command("RPUSH", f"sts:r:{domain}", "sts1 policy")
    answer, took = timed(lambda: farm.nodes[0].verdict(domain))
    assert (answer["verdict"], answer["mx"]) == ("secure", f"mx.{domain}") and took < 4


FORGED_OVER = {
    "failure": lambda domain: failure_record(domain, OTHER_KEY),
    "tombstone": lambda domain: tombstone_record(domain, OTHER_KEY, 900000000000000000),
    "policy": lambda domain: policy_record(domain, EVIL, OTHER_KEY),
    "empty": lambda domain: b"",
}


def content(record):
    """What of a policy's record stays the same when it is written anew."""
    return record.partition(b"body: ")[2].rpartition(b"mac: ")[0]


@pytest.mark.parametrize("kind", FORGED_OVER)
def test_known_policy_survives_forgeries(farm, kind):
    """Forged failure, tombstone, policy or nothing at all, with an event: every node keeps what it knows,
    and the farm writes it anew."""
    domain = farm.sources.new_domain()
    farm.ask_all(domain)
    genuine = content(farm.record(domain))
    put(farm, domain, FORGED_OVER[kind](domain))
    farm.tell(domain)
    wait_until(lambda: content(farm.record(domain)) == genuine, "it is not written anew", 30)
    answers = farm.ask_all(domain)
    assert [(answer["verdict"], answer["mx"]) for answer in answers] == [("secure", f"mx.{domain}")] * 3
    assert farm.sources.fetches(domain) == 1


def test_replayed_record(farm):
    """An old record, rightly signed, does not bring an old policy back; it is alarmed and counted."""
    domain = farm.sources.new_domain()
    farm.ask_all(domain)
    old = farm.record(domain)
    farm.sources.publish(domain, 2)
    assert farm.nodes[0].stsctl("flush", domain, "--wait").returncode == 0
    stale = [node.stat("redis_stale") for node in farm.nodes]
    put(farm, domain, old)
    farm.tell(domain)
    wait_until(lambda: all(node.stat("redis_stale") > before for node, before in zip(farm.nodes, stale)),
               "the replay is not counted", 10)
    assert farm.ids(domain) == ["serial2"] * 3
    assert all(any("alarm" in line and f" {domain} " in line for line in node.log_text().splitlines())
               for node in farm.nodes)
    wait_until(lambda: b"\nid: serial2\n" in farm.record(domain), "the old record stays", 30)


def test_replayed_tombstone(farm):
    """A tombstone of yesterday's flush does not forget today's policy."""
    domain = farm.sources.new_domain()
    farm.ask_all(domain)
    assert farm.nodes[0].stsctl("flush", domain, "--force", "--wait").returncode == 0
    tombstone = farm.record(domain)
    assert tombstone.startswith(b"sts1 tombstone\n")
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["secure"] * 3
    put(farm, domain, tombstone)
    farm.tell(domain)
    time.sleep(0.5)
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["secure"] * 3
    assert farm.sources.fetches(domain) == 2


FORGED_EVENTS = [("d", ""), ("d", "not a domain"), ("d", "x" * 100_000), ("x", "y"), ("d", b"\0\xff\n"), ("d", "*"),
                 ("d", "*.test"), ("d", "[z-a]*\\"), ("d", "..")]


def test_forged_events_cost_a_look(farm):
    """Whatever stands in events changes no answer and starts no fetch of a policy that is held."""
    domain = farm.sources.new_domain()
    farm.ask_all(domain)
    for field, value in FORGED_EVENTS:
        farm.redis.command("XADD", "sts:e", "*", field, value)
    for _ in range(500):
        farm.tell(domain)
    farm.tell("unknown.elsewhere.test")
    time.sleep(0.5)
    assert [answer["verdict"] for answer in farm.ask_all(domain)] == ["secure"] * 3
    assert farm.sources.fetches(domain) == 1
    farm.sources.publish(domain, 2)
    assert farm.nodes[0].stsctl("flush", domain, "--wait").returncode == 0
    assert farm.ids(domain) == ["serial2"] * 3


@pytest.mark.parametrize("token", ["garbage", "1790000000000000.abcdef." + "0" * 64])
def test_forged_lock_costs_five_seconds(farm, token):
    """A lock that nobody of the farm holds, with an endless life, delays a fetch by 5 s and no more."""
    domain = farm.sources.new_domain()
    farm.redis.command("SET", f"sts:l:{domain}", token)
    begin = time.monotonic()
    answer, took = timed(lambda: farm.nodes[0].verdict(domain))
    assert answer["verdict"] in ("secure", "pending") and took < 4.5, (answer, took)
    wait_until(lambda: farm.nodes[0].verdict(domain)["verdict"] == "secure", "it waits for ever", 10)
    assert time.monotonic() - begin < LOCK_MAX_S + 2.5
    assert farm.sources.fetches(domain) == 1


def test_key_rotation(farm):
    """A second key is accepted before it signs: node by node, with all policies kept and no fetch."""
    before, after = farm.sources.new_domain(), farm.sources.new_domain()
    farm.nodes[0].verdict(before)
    rotate(farm, (KEY, OTHER_KEY), (OTHER_KEY, KEY))
    farm.nodes[0].verdict(after)
    text = farm.record(after)
    assert text == sign(unsigned(text), OTHER_KEY)
    last = farm.nodes[2]
    assert last.stop() == 0
    last.forget()
    last.start()
    answers = [last.verdict(domain) for domain in (before, after)]
    assert [answer["verdict"] for answer in answers] == ["secure"] * 2
    assert [farm.sources.fetches(domain) for domain in (before, after)] == [1, 1]
    rotate(farm, (OTHER_KEY, KEY), (KEY,))


def rotate(farm, *stages):
    for keys in stages:
        for node in farm.nodes:
            node.set_keys(*keys)
            assert node.stop() == 0
            node.start()
    farm.wait_until_joined()


def test_node_with_another_key(farm):
    """A node with a key of its own is told nothing and believed nothing: it fetches by itself."""
    domain = farm.sources.new_domain()
    farm.nodes[0].verdict(domain)
    genuine = farm.record(domain)
    stranger = farm.add_node(key=OTHER_KEY)
    answer = stranger.verdict(domain)
    assert (answer["verdict"], answer["source"]) == ("secure", "fetch") and farm.sources.fetches(domain) == 2
    assert farm.nodes[0].verdict(domain)["verdict"] == "secure"
    farm.nodes.remove(stranger)
    assert stranger.stop() == 0
    assert genuine


def start_with(farm, tmp_path, redis, key=KEY, mode=0o600):
    """Runs `sts-cached -t`-like: the exit status and what it says."""
    key_file = tmp_path / "farm.key"
    key_file.write_text(key + "\n")
    key_file.chmod(mode)
    config = tmp_path / "sts-cached.conf"
    config.write_text(f'listen = {{ "unix:{tmp_path}/q" }}\ncontrol = "unix:{tmp_path}/c"\n'
                      f'state-directory = "{tmp_path}"\nredis {{ {redis.replace("KEY", str(key_file))} }}\n')
    try:
        result = subprocess.run([program(BUILD, "sts-cached"), "-f", "-c", config], capture_output=True, text=True,
                                check=False, timeout=1.5, env=farm.environment())
        return result.returncode, result.stdout + result.stderr
    except subprocess.TimeoutExpired as still:
        return None, (still.stderr or b"").decode()


REFUSED = {
    "no-key": ('server = "inet:6379@192.0.2.9"', {}),
    "sentinel-no-key": ('sentinels = { "inet:26379@192.0.2.9" }  master-name = "farm"', {}),
    "short-key": ('server = "inet:6379@192.0.2.9"  key-file = "KEY"', {"key": "5f" * 31}),
    "no-hex": ('server = "inet:6379@192.0.2.9"  key-file = "KEY"', {"key": "zz" * 32}),
    "empty": ('server = "inet:6379@192.0.2.9"  key-file = "KEY"', {"key": ""}),
    "world-readable": ('server = "inet:6379@192.0.2.9"  key-file = "KEY"', {"mode": 0o644}),
    "missing": ('server = "inet:6379@192.0.2.9"  key-file = "KEYS"', {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_start_without_a_sound_key(farm, tmp_path, case):
    """A Redis that is not on this host needs a key file that is sound and private."""
    redis, options = REFUSED[case]
    status, said = start_with(farm, tmp_path, redis, **options)
    assert status == 1 and "key" in said, said


@pytest.mark.parametrize("redis", ['server = "inet:6379@127.0.6.99"', 'server = "inet:6379@192.0.2.9"  insecure = on',
                                   'server = "inet:6379@192.0.2.9"  key-file = "KEY"'])
def test_start_where_the_key_is_not_needed(farm, tmp_path, redis):
    """On loopback, with `insecure` or with a key it runs, Redis there or not."""
    status, said = start_with(farm, tmp_path, redis)
    assert status is None, said
