"""sts-milter under many sessions at once, in one process, so that its threads meet; TSan watches in contrib/check."""

import os
import pathlib
import random
import resource
import signal
import threading
import time

from miltertalk import Closed, MilterTalk
from milterlab import is_running, verdict, wait_until
from test_milter import fixture_daemon, fixture_start  # noqa: F401

SESSIONS, MESSAGES = 64, 4
WANTED = {"refuse": {"451"}, "secure": {"250"}, "slow": {"250"}, "hang": {"250"}}


def answer(domain, wait):
    """By the first label: at once, after a while, or not within the time that is given."""
    kind = domain.partition(".")[0]
    if kind == "slow":
        time.sleep(0.01)
    if kind == "hang":
        time.sleep(wait / 1000 + 0.05)
    word = {"refuse": ("refuse", "mx-not-listed"), "hang": ("pending", "deadline")}.get(kind, ("secure", "ok"))
    return verdict(word[0], domain, word[1])


class Session(threading.Thread):
    """An MTA's connection that sends messages of some recipients; `wrong` collects what should not be."""

    def __init__(self, milter, number, domains, wrong):
        super().__init__(daemon=True)
        self.milter, self.choice, self.domains, self.wrong = milter, random.Random(number), domains, wrong
        self.recipients = 0

    def run(self):
        try:
            with MilterTalk(self.milter.socket, timeout=60) as talk:
                talk.negotiate()
                talk.connect(address=f"192.0.2.{self.choice.randrange(1, 250)}")
                for _ in range(MESSAGES):
                    self._send_message(talk)
        except (Closed, OSError) as why:
            self.wrong.append(repr(why))

    def _send_message(self, talk):
        talk.mail()
        for _ in range(self.choice.randrange(1, 5)):
            domain = self.choice.choice(self.domains)
            code = talk.rcpt(f"user@{domain}").code
            if code not in WANTED[domain.partition(".")[0]]:
                self.wrong.append(f"{domain}: {code}")
            self.recipients += 1
        if self.choice.random() < 0.2:
            talk.send("A")
        else:
            talk.end_of_message(f"Q{self.choice.randrange(1 << 30):x}")


def test_sixty_four_sessions(start, daemon):
    """64 sessions at once, a tenth of their domains hanging, settings handed over meanwhile: each
    recipient gets the right word and no session is cut."""
    domains = [f"{kind}.d{n}.test" for n in range(6) for kind in ("refuse", "secure", "secure", "slow")] + ["hang.test"] * 2
    daemon.answers = {domain: answer for domain in domains}
    milter = start(processes="1", wait='"100ms"', exempt_clients='{"192.0.2.251"}', add_header="on")
    wrong = []
    sessions = [Session(milter, number, domains, wrong) for number in range(SESSIONS)]
    for session in sessions:
        session.start()
    for mode in ("off", "on"):
        milter.reload(add_header=mode)
    for session in sessions:
        session.join(60)
    assert not any(session.is_alive() for session in sessions)
    assert not wrong, wrong[:10]
    assert sum(session.recipients for session in sessions) >= SESSIONS * MESSAGES
    assert len(milter.children) == 1 and "killed by signal" not in milter.log


def test_sessions_while_the_daemon_dies(start, daemon):
    """sts-cached dies and comes back under 32 sessions: never a refusal for it, and never none at all."""
    daemon.answers = {f"secure.d{n}.test": answer for n in range(8)}
    milter = start(processes="1", wait='"100ms"')
    wrong = []
    sessions = [Session(milter, number, list(daemon.answers), wrong) for number in range(SESSIONS // 2)]
    for session in sessions:
        session.start()
    for _ in range(3):
        daemon.stop()
        time.sleep(0.05)
        daemon.start()
        time.sleep(0.05)
    for session in sessions:
        session.join(60)
    assert not any(session.is_alive() for session in sessions)
    assert not wrong, wrong[:10]


def test_child_killed_in_a_message(start, daemon):
    """The session is cut, which the MTA takes as it is told to (F=); the others go on, and the next
    message is judged by a new child."""
    daemon.answers = {"refuse.test": ("refuse", "mx-not-listed")}
    milter = start(processes="1")
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
        victim = milter.children[0]
        os.kill(victim, signal.SIGKILL)
        try:
            reply = talk.rcpt("u@refuse.test").code
        except (Closed, OSError):
            reply = "cut"
        assert reply == "cut"
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
    assert not is_running(victim)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptors_left(start, daemon):
    """EMFILE in a child: the sessions that it has go on, it does not spin, and when there are descriptors
    again it accepts again."""
    daemon.answers = {"refuse.test": ("refuse", "mx-not-listed")}
    milter = start(processes="1")
    child = wait_until(lambda: milter.children and milter.children[0], "a child")
    with milter.talk() as talk:
        assert talk.rcpt("u@refuse.test").code == "451"
        before = resource.prlimit(child, resource.RLIMIT_NOFILE)
        resource.prlimit(child, resource.RLIMIT_NOFILE, (3, before[1]))
        waiting = MilterTalk(milter.socket, timeout=20)
        used = cpu_seconds(child)
        time.sleep(1)
        assert cpu_seconds(child) - used < 0.3
        assert talk.rcpt("u@refuse.test").code == "451"
        resource.prlimit(child, resource.RLIMIT_NOFILE, before)
        waiting.negotiate()
        waiting.mail()
        assert waiting.rcpt("u@refuse.test").code == "451"
        waiting.socket.close()
    assert milter.children == [child]
