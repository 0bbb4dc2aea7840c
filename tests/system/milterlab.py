"""milterlab - the real sts-milter against a cache daemon that is made of faults.

FakeDaemon answers `verdict` questions as a test tells it to; Milter runs the program in the
foreground with its own configuration, socket and log.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

from lab.sanitizer import TSAN_OPTIONS
from miltertalk import MilterTalk

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("STS_BUILD_DIR") or os.environ.get("STS_LAB_BUILD") or TOP
PROGRAM = pathlib.Path(BUILD) / "sts-milter"


def wait_until(condition, what, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def is_listening(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def accepts_on(port):
    with socket.socket(socket.AF_INET) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid):
    """A zombie that nobody reaps, as in a container, has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def verdict(word="secure", domain="-", reason="ok", mode="enforce", mx="mx1.example.com"):
    return (f"OK verdict={word} domain={domain} mode={mode} id=1 max_age=604800 expires=1790000000 "
            f"mx={mx} hosts=- source=memory reason={reason}")


class FakeDaemon:
    """`answers` maps a domain to (verdict, reason), or to a function of (domain, wait in ms) that
    returns the whole payload, bytes to be sent raw, or None to close. Unknown domains are `none`.
    `causes` maps a domain to what probing found wrong at its hosts."""

    def __init__(self, path):
        self.path, self.answers, self.causes, self.requests = str(path), {}, {}, []
        self.delay = 0.0
        self.open = []
        self.listener = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(200)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """As if killed: the socket file stays, nobody listens, connections are cut."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
                while found := re.match(rb"(\d+):", data):
                    size = int(found[1])
                    if len(data) < found.end() + size + 1:
                        break
                    request = data[found.end():found.end() + size].decode()
                    data = data[found.end() + size + 1:]
                    if not self._answer(connection, request):
                        connection.close()
                        return
        except OSError:
            pass

    def _answer(self, connection, request):
        self.requests.append(request)
        found = re.fullmatch(r"(verdict|probes) (\S+) wait=(\d+)", request)
        assert found, request
        domain, wait = found[2].strip("[]"), int(found[3])
        if self.delay:
            time.sleep(self.delay)
        if found[1] == "probes":
            payload = f"OK {self.causes[domain]}" if domain in self.causes else "NOTFOUND "
            connection.sendall(b"%d:%s," % (len(payload), payload.encode()))
            return True
        answer = self.answers.get(domain, ("none", "no-record"))
        payload = answer(domain, wait) if callable(answer) else verdict(answer[0], domain, answer[1])
        if payload is None:
            return False
        connection.sendall(payload if isinstance(payload, bytes) else b"%d:%s," % (len(payload), payload.encode()))
        return True

    @property
    def keys(self):
        return [request.split()[1] for request in self.requests]


class Milter:
    """One running sts-milter. Options are written with _ for -, values as in the file. `environment` is added to
    ours when it starts."""

    def __init__(self, directory, daemon, **options):
        self.directory = directory
        self.socket = str(directory / "milter.sock")
        self.config = directory / "sts-milter.conf"
        self.options = {"socket": f'"unix:{self.socket}"', "cache": f'"unix:{daemon.path}"', "processes": "1", **options}
        self.write_config()
        self.log_file = directory / "log"
        self.process, self.environment = None, {}

    def write_config(self, **changes):
        self.options.update(changes)
        self.config.write_text("".join(f"{key.replace('_', '-')} = {value}\n" for key, value in self.options.items()))

    def start(self):
        self._spawn()
        wait_until(lambda: is_listening(self.socket) or self.process.poll() is not None, "the socket")
        assert self.process.poll() is None, self.log
        return self

    def start_on_port(self, port):
        """With a socket of the kind inet."""
        self._spawn()
        wait_until(lambda: accepts_on(port) or self.process.poll() is not None, "the port")
        assert self.process.poll() is None, self.log

    def start_at_once(self):
        """Returns in the very moment when the socket is there, whatever else is not."""
        self._spawn()
        end = time.monotonic() + 20
        while not os.path.exists(self.socket):
            assert time.monotonic() < end, self.log

    def _spawn(self):
        environment = {**os.environ, "TSAN_OPTIONS": TSAN_OPTIONS, **self.environment}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-f", "-v", "-c", self.config], stderr=log, stdout=log, env=environment)

    @property
    def log(self):
        return self.log_file.read_text()

    def wait_for_log(self, pattern, seconds=10):
        return wait_until(lambda: re.search(pattern, self.log), f"{pattern}\n{self.log}", seconds)

    @property
    def children(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in tasks.split()]

    def talk(self, **options):
        talk = MilterTalk(self.socket).negotiate(**options)
        talk.connect()
        talk.mail()
        return talk

    def reload(self, **changes):
        self.write_config(**changes)
        count = self.log.count("new settings are in force")
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.count("new settings are in force") >= count + int(self.options["processes"]),
                   "new settings\n" + self.log)

    def stop(self):
        """Exit code, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        return code, time.monotonic() - began
