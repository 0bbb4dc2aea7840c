"""demo_farm - three nodes and their Redis as a demonstration: contrib/quickstart --farm runs it in the lab's namespaces.

The first node is the mail host's own, asked by Sendmail and its milter. Each line is something done and what
came of it. Exit status 0 only when all is as it must be.
"""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

from lab import daemons
from lab.process import NotReady, Process, wait_until
from lab.redis import RedisServer
from lab.world import Lab
from vectors.asker import Asker, verdict_fields

REDIS_ADDRESS = "127.0.6.11"
HOME = pathlib.Path("/run/lab/farm")
KEY_FILE = HOME / "farm.key"
LIST_ELSEWHERE = ["mail.elsewhere.example"]


def redis_section():
    return f'redis {{ server = "inet:6379@{REDIS_ADDRESS}"  key-file = "{KEY_FILE}" }}\n'


class Node:
    """A further mail host's sts-cached: own sockets, own state directory, own host name."""

    def __init__(self, number, lab):
        self.name, directory = f"node{number}", HOME / f"node{number}"
        (directory / "state").mkdir(parents=True)
        self.query_socket, self.control_socket = directory / "query.sock", directory / "control.sock"
        config = directory / "sts-cached.conf"
        config.write_text(f'{daemons.CACHED_CONFIG}{redis_section()}'
                          f'listen = {{ "unix:{self.query_socket}" }}\ncontrol = "unix:{self.control_socket}"\n'
                          f'state-directory = "{directory}/state"\n')
        shutil.chown(directory, "sts-cached")
        shutil.chown(directory / "state", "sts-cached")
        enter = ["unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "sh"]
        self.process = Process(self.name, [*enter, daemons.program(lab.build, "sts-cached"), "-f", "-c", config],
                               lab.logs, lambda: daemons.accepts(str(self.query_socket)),
                               daemons.sanitizer_environment())

    def start(self):
        self.process.start()
        return self

    def stop(self):
        return self.process.stop(signal.SIGTERM)


class Story:
    """Tells what is done and whether it went as it must."""

    def __init__(self, lab, redis, sockets):
        self.lab, self.redis, self.sockets, self.right = lab, redis, sockets, True

    def tell(self, what, came, right):
        print(f"{what:62}  {came:58}  {'ok' if right else 'WRONG'}", flush=True)
        self.right = self.right and right

    def answers(self, domain):
        """What each node says of the domain, the mail host's own first."""
        found = []
        for socket in self.sockets:
            with Asker(socket) as asker:
                found.append(verdict_fields(asker.ask(f"verdict {domain.name}")))
        return found

    def stsctl(self, number, *words):
        control = [daemons.CONTROL_SOCKET, *(node.with_name("control.sock") for node in self.sockets[1:])][number]
        return self.lab.daemons.stsctl("-s", f"unix:{control}", *words)

    def begin(self):
        names = self.stsctl(0, "nodes").stdout
        self.tell("three nodes at one Redis", f"stsctl nodes names {len(names.splitlines())}",
                  len(names.splitlines()) == 3)

    def one_fetch(self, domain):
        answers = self.answers(domain)
        count = self.lab.policies.fetches(domain.name)
        self.tell("all three are asked about a new domain",
                  f"{', '.join(one['verdict'] for one in answers)}; {count} fetch",
                  [one["verdict"] for one in answers] == ["secure"] * 3 and count == 1)

    def flush(self, domain):
        before = self.answers(domain)[0]["id"]
        domain.set_policy("enforce", [self.lab.mx["good"].host, self.lab.mx["second"].host])
        began = time.monotonic()
        result = self.stsctl(2, "flush", domain.name, "--wait")
        took = (time.monotonic() - began) * 1000
        ids = {one["id"] for one in self.answers(domain)}
        self.tell("its policy changes; stsctl flush --wait on the third",
                  f"exit {result.returncode} after {took:.0f} ms; all answer with {'the new id' if len(ids) == 1 else ids}",
                  result.returncode == 0 and len(ids) == 1 and before not in ids)

    def mail(self, what, good, unlisted):
        sent, refused = self.lab.send(good.address()), self.lab.send(unlisted.address())
        self.tell(f"{what}: mail to a listed MX", f"sent, verify={sent.verify}" if sent.sent else "kept",
                  sent.sent and sent.verify == "OK")
        self.tell(f"{what}: mail where no MX is listed", f"at RCPT: {refused.code} {refused.text[:42]}",
                  refused.code == 451 and refused.text.startswith("4.7.5 "))

    def lose_redis(self, known, new):
        self.redis.kill()
        wait_until(lambda: "away" in self.lab.daemons.cached.log_text(), "the loss is not logged", 10)
        verdicts = [one["verdict"] for one in self.answers(known)]
        self.tell("Redis is killed; all are asked about the known domain", ", ".join(verdicts),
                  verdicts == ["secure"] * 3)
        first = self.answers(new)[0]
        self.tell("and the first about a new one", f"{first['verdict']}, from {first['source']}",
                  first["verdict"] == "secure")

    def find_redis(self, *domains):
        self.redis.start()
        began = time.monotonic()
        wait_until(lambda: all(self.redis.command("EXISTS", f"sts:r:{one.name}") for one in domains),
                   "not written back", 20)
        self.tell("Redis comes back, empty", f"all is written back after {time.monotonic() - began:.1f} s", True)


def play(lab):
    redis, nodes = RedisServer("redis", HOME, REDIS_ADDRESS), []
    try:
        redis.start()
        lab.restart_cached(redis_section())
        nodes = [Node(number, lab).start() for number in (2, 3)]
        story = Story(lab, redis, [pathlib.Path(daemons.QUERY_SOCKET), *(node.query_socket for node in nodes)])
        wait_until(lambda: len(story.stsctl(0, "nodes").stdout.splitlines()) == 3, "the nodes do not meet")
        good = lab.domain("good", mode="enforce", name="good.test")
        unlisted = lab.domain("good", mode="enforce", listed=LIST_ELSEWHERE, name="unlisted.test")
        new = lab.domain("good", mode="enforce", name="new.test")
        story.begin()
        story.one_fetch(good)
        story.flush(good)
        story.mail("Sendmail", good, unlisted)
        story.lose_redis(good, new)
        story.mail("without Redis", good, unlisted)
        story.find_redis(good, new)
        return story.right
    finally:
        statuses = [node.stop() for node in nodes]
        redis.stop()
        assert set(statuses) <= {0}, statuses


def main():
    lab = Lab()
    try:
        lab.start()
        HOME.mkdir(parents=True)
        KEY_FILE.write_text("5f" * 32 + "\n")
        KEY_FILE.chmod(0o600)
        shutil.chown(KEY_FILE, "sts-cached")
        right = play(lab)
    except (NotReady, subprocess.SubprocessError) as fault:
        print(f"it failed: {fault}", file=sys.stderr)
        right = False
    finally:
        lab.stop()
    print("\nAll as it must be." if right else "\nNOT as it must be.")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
