"""mta - what Sendmail, Postfix and Exim have in common for a test: attempts to deliver, waited for."""

from lab.process import wait_until


class Mta:
    """A part of the lab that tells `deliveries(queue_id)` and `log_of(queue_id)`."""

    def wait_for_delivery(self, queue_id, recipient, attempt=1, seconds=60):
        """Waits for the attempt (1 is the first) to deliver the message to the recipient."""
        def found():
            mine = [one for one in self.deliveries(queue_id) if one.recipient.lower() == recipient.lower()]
            return mine[attempt - 1] if len(mine) >= attempt else None
        return wait_until(found, lambda: f"no attempt {attempt} for {recipient}:\n" + self.log_of(queue_id), seconds)

    def reason(self, delivery):
        """Why the attempt was given up."""
        return delivery.stat

    def code(self, delivery):
        """The enhanced status code that the MTA logged of the attempt; empty when it logged none."""
        return delivery.dsn

    def log_of(self, queue_id):
        """The lines of its log about the message."""
        return "\n".join(line for line in self.log_text().splitlines() if queue_id in line)
