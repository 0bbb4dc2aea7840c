"""Both daemons die and come back, again and again, while Sendmail takes and delivers mail."""

import os
import pathlib
import signal
import smtplib
import threading
import time

from lab import client
from lab.process import wait_until

ROUNDS = 2


class Senders:
    """Submits messages to the addresses of `domains` in turn until told to end. `sent`: recipient, code
    and queue id of each; `wrong`: what went wrong at the sending side."""

    def __init__(self, lab, domains, threads=1):
        self.lab, self.domains, self.running = lab, domains, True
        self.sent, self.wrong, self.count, self.lock = [], [], 0, threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while self.running:
            with self.lock:
                self.count += 1
                number = self.count
            domain = self.domains[number % len(self.domains)]
            recipient = domain.address(f"m{number}")
            try:
                submission = client.submit(recipient, address=self.lab.mta.address)
            except Exception as why:  # what it is, the test says
                self.wrong.append(f"{recipient}: {why!r}")
                continue
            self.sent.append((domain, recipient, submission.code(recipient), submission.queue_id))

    def end(self):
        self.running = False
        for thread in self.threads:
            thread.join(60)


def test_both_restarted_under_load(lab):
    """kill -9 and SIGTERM in turn, mail meanwhile: no message is lost, none goes where the policy forbids,
    none in clear; what had to wait is delivered by the next queue run."""
    good, expired = lab.domain("good", mode="enforce"), lab.domain("expired", mode="enforce")
    unlisted = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    for domain in (good, expired, unlisted):
        lab.daemons.query(domain.name)
    time.sleep(0.3)
    senders = Senders(lab, [good, expired, good, unlisted])
    for number in range(ROUNDS):
        for daemon in (lab.daemons.cached, lab.daemons.milter):
            time.sleep(0.3)
            daemon.stop(signal.SIGKILL if number % 2 == 0 else signal.SIGTERM)
            time.sleep(0.2)
            daemon.start()
    time.sleep(0.3)
    senders.end()
    assert not senders.wrong, senders.wrong
    codes = {name: [code for domain, _, code, _ in senders.sent if domain is domain_of] for name, domain_of in
             (("good", good), ("expired", expired), ("unlisted", unlisted))}
    print(codes)
    assert set(codes["good"]) == set(codes["expired"]) == {250} and set(codes["unlisted"]) <= {250, 451}
    assert len(codes["good"]) >= 5
    wanted = [(recipient, queue_id) for domain, recipient, _, queue_id in senders.sent if domain is good]
    first = {recipient: lab.mta.wait_for_delivery(queue_id, recipient) for recipient, queue_id in wanted}
    waiting = [(recipient, queue_id) for recipient, queue_id in wanted if not first[recipient].sent]
    if waiting:
        lab.mta.run_queue(*(queue_id for _, queue_id in waiting))
    assert all(lab.mta.wait_for_delivery(queue_id, recipient, attempt=2).sent for recipient, queue_id in waiting)
    assert not lab.in_clear()
    for recipient, queue_id in wanted:
        assert lab.mx["good"].sessions_with(recipient), recipient
    for domain, recipient, code, _ in senders.sent:
        if domain is not good and code == 250:
            assert not any(one.sessions_with(recipient) for one in lab.mx.values()), recipient


def children(process):
    return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_child_killed_between_recipients(lab):
    """Sendmail's session with the milter is cut in a message: Sendmail goes on as the sample's F= says, the
    message reaches both recipients, in TLS; the next message is judged by the children that took their place."""
    good, unlisted = lab.domain("good", mode="enforce"), lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    for domain in (good, unlisted):
        lab.daemons.query(domain.name)
    recipients = [good.address("before"), good.address("after")]
    milter = lab.daemons.milter.child
    with smtplib.SMTP(lab.mta.address, 25, timeout=60) as smtp:
        smtp.ehlo("client.sender.test")
        assert smtp.mail("alice@sender.test")[0] == 250
        assert smtp.rcpt(recipients[0])[0] == 250
        killed = children(milter)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert smtp.rcpt(recipients[1])[0] == 250
        code, text = smtp.data(b"Subject: lab\r\n\r\nFor two.\r\n")
        assert code == 250, text
    queue_id = client.queue_id_in(text.decode())
    for recipient in recipients:
        assert lab.mta.wait_for_delivery(queue_id, recipient).sent
        assert lab.mx["good"].sessions_with(recipient), recipient
    assert not lab.in_clear()
    wait_until(lambda: len(children(milter)) == len(killed), "children again", 10)
    assert not set(children(milter)) & set(killed)
    assert client.submit(unlisted.address("x"), address=lab.mta.address).code(unlisted.address("x")) == 451
