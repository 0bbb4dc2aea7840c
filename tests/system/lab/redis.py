"""redis - real redis-server and redis-sentinel of this machine, each on an address of its own, and how to hurt them.

Nothing is written to disk unless a test says so: a killed server comes back empty.
"""

import pathlib
import signal
import socket

from lab.process import Process, wait_until

SERVER, SENTINEL = "/usr/bin/redis-server", "/usr/bin/redis-sentinel"
PORT, SENTINEL_PORT = 6379, 26379
MASTER_NAME = "farm"
DOWN_AFTER_MS, FAILOVER_TIMEOUT_MS = 700, 3000


class RedisError(Exception):
    """An error reply."""


class Connection:
    """A client: one command, one reply."""

    def __init__(self, address, port, timeout=5):
        self.socket = socket.create_connection((address, port), timeout)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stream.close()
        self.socket.close()

    def command(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in words))
        return self._reply()

    def _reply(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]


class RedisServer:
    """One redis-server. `command` talks to it directly, whatever lies between it and the nodes."""

    def __init__(self, name, directory, address, port=PORT, enter=()):
        """`enter`: words before the command line, which bring it into another namespace."""
        self.address, self.port, self.enter, self.password = address, port, list(enter), None
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.arguments = ["--bind", address, "--port", port, "--dir", self.directory, "--save", "", "--appendonly",
                          "no", "--protected-mode", "no", "--repl-diskless-sync-delay", "0",
                          "--replica-announce-ip", address]
        self.process = Process(name, [], directory, self._answers)

    def _answers(self):
        try:
            self.command("PING")
            return True
        except RedisError:
            return True
        except OSError:
            return False

    def start(self, *more):
        """`more`: further words of the command line, this time."""
        self.process.argv = [str(word) for word in (*self.enter, SERVER, *self.arguments, *more)]
        self.process.start()
        return self

    def stop(self):
        """Ends it whatever state it is in."""
        self.resume()
        self.process.stop(signal.SIGKILL)

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def hang(self):
        """It accepts connections and bytes, and does nothing."""
        self.process.child.send_signal(signal.SIGSTOP)

    def resume(self):
        if self.process.is_running():
            self.process.child.send_signal(signal.SIGCONT)

    def command(self, *words):
        with Connection(self.address, self.port) as connection:
            if self.password:
                connection.command("AUTH", self.password)
            return connection.command(*words)

    def set(self, name, value):
        return self.command("CONFIG", "SET", name, value)

    def follow(self, other):
        """Makes it a replica of `other`; None: a master."""
        self.command("REPLICAOF", *((other.address, other.port) if other else ("NO", "ONE")))

    def role(self):
        return self.command("ROLE")[0].decode()

    def wait_for_replica(self, count=1):
        """Until `count` replicas have all that was written."""
        def are_in_step():
            role = self.command("ROLE")
            return sum(int(replica[2]) >= role[1] for replica in role[2]) >= count
        wait_until(are_in_step, "the replicas lag behind")

    def drop_clients(self):
        self.command("CLIENT", "KILL", "TYPE", "normal")


class Sentinel:
    """One redis-sentinel that watches `master`."""

    def __init__(self, name, directory, address, master, quorum):
        self.address, self.port = address, SENTINEL_PORT
        home = pathlib.Path(directory) / name
        home.mkdir()
        config = home / "sentinel.conf"
        config.write_text(f"bind {address}\nport {SENTINEL_PORT}\ndir {home}\nprotected-mode no\n"
                          f"sentinel announce-ip {address}\n"
                          f"sentinel monitor {MASTER_NAME} {master.address} {master.port} {quorum}\n"
                          f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}\n"
                          f"sentinel failover-timeout {MASTER_NAME} {FAILOVER_TIMEOUT_MS}\n")
        self.process = Process(name, [SENTINEL, config], directory, self._answers)

    def _answers(self):
        try:
            return self.command("PING") == "PONG"
        except OSError:
            return False

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop(signal.SIGKILL)

    def command(self, *words):
        with Connection(self.address, self.port) as connection:
            return connection.command(*words)

    def master(self):
        """(address, port) of the master as this Sentinel sees it."""
        address, port = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        return address.decode(), int(port)

    def sees(self, replicas, sentinels):
        """True when it knows as many replicas and other Sentinels, all of them well."""
        found = self.command("SENTINEL", "REPLICAS", MASTER_NAME)
        flags = [dict(zip(one[::2], one[1::2]))[b"flags"] for one in found]
        others = self.command("SENTINEL", "SENTINELS", MASTER_NAME)
        return flags == [b"slave"] * replicas and len(others) == sentinels
