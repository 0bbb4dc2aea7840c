"""Ways to Redis: the sample's user and its few commands, a database of one's own, TLS, a unix socket."""

import pathlib

import pytest
from lab.farm import Node
from lab.process import wait_until
from lab.redis import RedisServer

ADDRESS, TLS_PORT = "127.0.6.31", 6390
ACL = pathlib.Path(__file__).resolve().parents[2] / "contrib/redis/users.acl"
PASSWORD = "change-this-1"
USER = 'username = "sts-cached"  password-file = "{home}/password"'
WAYS = {
    "user": f'server = "inet:6379@{ADDRESS}" {USER}',
    "database": f'server = "inet:6379@{ADDRESS}" {USER}  database = 3',
    "unix": f'server = "unix:{{home}}/redis.sock" {USER}',
    "tls": f'server = "inet:{TLS_PORT}@{ADDRESS}" {USER}  tls = on  ca-file = "{{ca}}"',
}


@pytest.fixture(scope="module")
def guarded_redis(started_farm, tmp_path_factory):
    """A Redis that lets in nobody but the users of the sample."""
    home, ca = tmp_path_factory.mktemp("guarded"), started_farm.sources.certificates
    certificate = ca.issue("redis", [], addresses=[ADDRESS])
    (home / "password").write_text(f"{PASSWORD}\n")
    (home / "password").chmod(0o600)
    server = RedisServer("redis", home, ADDRESS)
    server.start("--aclfile", ACL, "--unixsocket", home / "redis.sock", "--tls-port", TLS_PORT,
                 "--tls-cert-file", certificate, "--tls-key-file", certificate, "--tls-ca-cert-file", ca.file,
                 "--tls-auth-clients", "no")
    server.home, server.ca = home, ca.file
    yield server
    server.stop()


@pytest.fixture
def pair(farm, guarded_redis, request):
    """Two nodes that come to it by the way that the test names."""
    config = WAYS[request.param].format(home=guarded_redis.home, ca=guarded_redis.ca)
    number = 20 + 2 * list(WAYS).index(request.param)
    made = [Node(number + n, farm, redis_config=config).start() for n in range(2)]
    farm.wait_until_joined(*made)
    yield made
    assert [node.stop() for node in made] == [0, 0]


@pytest.mark.parametrize("pair", WAYS, indirect=True)
def test_way_to_redis(farm, pair):
    """Two nodes meet, share a policy and an order; the few commands that the sample allows are all they need."""
    first, second = pair
    domain = farm.sources.new_domain()
    assert first.verdict(domain)["source"] == "fetch"
    wait_until(lambda: second.holds(domain), "the other does not get it", 10)
    farm.sources.publish(domain, 2)
    flushed = second.stsctl("flush", domain, "--wait")
    assert flushed.returncode == 0, flushed.stderr
    wait_until(lambda: first.verdict(domain)["id"] == "serial2", "the order does not arrive", 10)
    assert farm.sources.fetches(domain) == 2
    assert [node.log_text().count("NOPERM") for node in pair] == [0, 0]
    assert [node.stat("redis_failures") for node in pair] == [0, 0]


def test_strangers_are_kept_out(farm, guarded_redis):
    """The control: without the password a node finds this Redis, and is not let in."""
    node = Node(30, farm, redis_config=f'server = "inet:6379@{ADDRESS}"').start()
    try:
        wait_until(lambda: "NOAUTH" in node.log_text(), "it is not told", 10)
        domain = farm.sources.new_domain()
        assert node.verdict(domain)["verdict"] == "secure"
        assert node.stat("redis_up") == 0
    finally:
        assert node.stop() == 0


def test_wrong_authority(farm, guarded_redis, tmp_path):
    """A server whose certificate another authority has signed is none of ours."""
    stranger = farm.sources.certificates.__class__(tmp_path / "stranger")
    config = WAYS["tls"].format(home=guarded_redis.home, ca=stranger.file)
    node = Node(31, farm, redis_config=config).start()
    try:
        wait_until(lambda: "redis is away" in node.log_text(), "it is not noticed", 10)
        assert node.stat("redis_up") == 0
    finally:
        assert node.stop() == 0
