"""contrib/redis as it stands: a Redis with its users and its configuration has its data after a restart."""

import pathlib
import signal

import pytest
from lab.farm import Node
from lab.process import wait_until
from lab.redis import Connection, RedisError, RedisServer

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "contrib/redis"
ADDRESS, SAMPLE_ADDRESS = "127.0.6.32", "192.0.2.10"
USERNAME, PASSWORD = "sts-cached", "change-this-1"
FARM = {"nodes": 1}


@pytest.fixture
def sample_redis(tmp_path):
    """A Redis that includes the sample's redis.conf and takes its users.acl."""
    users, config = tmp_path / "users.acl", tmp_path / "redis.conf"
    users.write_text((SAMPLES / "users.acl").read_text())
    text = (SAMPLES / "redis.conf").read_text()
    assert SAMPLE_ADDRESS in text and "/etc/redis/users.acl" in text
    config.write_text(text.replace(SAMPLE_ADDRESS, ADDRESS).replace("/etc/redis/users.acl", str(users)))
    server = RedisServer("redis", tmp_path, ADDRESS)
    server.start("--include", config)
    server.config = config
    yield server
    server.stop()


def restart(server):
    assert server.process.stop(signal.SIGTERM) == 0
    server.start("--include", server.config)


def as_node(server, *words):
    with Connection(server.address, server.port) as connection:
        connection.command("AUTH", USERNAME, PASSWORD)
        return connection.command(*words)


def test_data_survive_a_restart(farm, sample_redis, tmp_path):
    """What the node's scripts wrote, and the epoch, are there again after Redis was stopped and started."""
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    node = Node(33, farm, redis_config=f'server = "inet:6379@{ADDRESS}" username = "{USERNAME}" '
                                       f'password-file = "{password}"').start()
    domain = farm.sources.new_domain()
    assert node.verdict(domain)["verdict"] == "secure"
    wait_until(lambda: as_node(sample_redis, "GET", f"sts:r:{domain}"), "the record does not get there", 10)
    assert node.stop() == 0  # else it would write back what Redis has lost
    held = [as_node(sample_redis, "GET", f"sts:{key}") for key in (f"r:{domain}", "epoch")]
    index, events = ("ZRANGE", "sts:index", 0, -1), ("XRANGE", "sts:e", "-", "+")
    listed, told = as_node(sample_redis, *index), as_node(sample_redis, *events)
    assert all(held) and listed == [domain.encode()] and told
    restart(sample_redis)
    assert "CRITICAL" not in sample_redis.process.log_text()
    assert [as_node(sample_redis, "GET", f"sts:{key}") for key in (f"r:{domain}", "epoch")] == held
    assert (as_node(sample_redis, *index), as_node(sample_redis, *events)) == (listed, told)


@pytest.mark.parametrize("address", [ADDRESS, "127.0.0.1"])
@pytest.mark.parametrize("words", [(), ("AUTH", ""), ("AUTH", "default", ""), ("AUTH", "default", "x"),
                                   ("HELLO", 3), ("HELLO", 2, "AUTH", "default", "")])
def test_default_lets_nobody_in(sample_redis, address, words):
    """The user `default` may do everything, for Redis' own sake when it starts, and nobody can be that user."""
    with Connection(address, sample_redis.port) as connection:
        if words:
            with pytest.raises(RedisError, match="^(WRONGPASS|NOAUTH) "):
                connection.command(*words)
        for command in (("PING",), ("GET", "sts:epoch"), ("SET", "x", "y"), ("CONFIG", "GET", "dir"), ("ACL", "LIST")):
            with pytest.raises(RedisError, match="^NOAUTH "):
                connection.command(*command)
