"""client - the sending user: one SMTP transaction, with each recipient's answer kept."""

import dataclasses
import re
import smtplib

from lab import namespace


@dataclasses.dataclass
class Submission:
    """What the client was told. `queue_id` is empty when no message was taken."""

    replies: dict  # recipient -> (code, text)
    queue_id: str = ""

    def code(self, rcpt):
        return self.replies[rcpt][0]

    def text(self, rcpt):
        return self.replies[rcpt][1]


def queue_id_in(text):
    """The message's name in the MTA's queue, as Sendmail (first word), Postfix (last) or Exim tells it."""
    return re.search(r"(?:queued as |\bid=|^2\.0\.0 (?!Ok))([\w-]+)", text).group(1)


def submit(*recipients, sender="alice@sender.test", address=namespace.MTA_ADDRESS, wire=None, utf8=False):
    """Sends one message to `recipients`; a refused recipient does not stop the others.

    `wire` maps a recipient to what is typed at RCPT where that differs; `utf8`: with SMTPUTF8."""
    with smtplib.SMTP(address, 25, timeout=60) as smtp:
        smtp.ehlo("client.sender.test")
        if utf8:
            smtp.command_encoding = "utf-8"
        code, text = smtp.mail(sender, ["SMTPUTF8"] if utf8 else [])
        assert code == 250, f"MAIL FROM: {code} {text}"
        replies = {}
        for recipient in recipients:
            code, text = smtp.rcpt((wire or {}).get(recipient, recipient))
            replies[recipient] = (code, text.decode(errors="replace"))
        submission = Submission(replies)
        if any(code == 250 for code, _ in replies.values()):
            code, text = smtp.data(f"From: {sender}\r\nSubject: lab\r\n\r\nA message for {' and '.join(recipients)}.\r\n".encode())
            assert code == 250, f"DATA: {code} {text}"
            submission.queue_id = queue_id_in(text.decode())
        return submission
