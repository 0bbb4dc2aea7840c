"""process - one started program: its log, when it is ready, and its end by its own id."""

import pathlib
import signal
import subprocess
import time


class NotReady(Exception):
    """Something did not come to pass in its time."""


def wait_until(condition, what, seconds=20):
    """Returns the first true value of condition(), or raises NotReady after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NotReady(what() if callable(what) else what)
        time.sleep(0.02)


class Process:
    """A program in the foreground. `ready` is polled until true; output goes to one log file."""

    def __init__(self, name, argv, logs, ready, env=None):
        self.name, self.argv, self.ready, self.env = name, [str(a) for a in argv], ready, env
        self.log = pathlib.Path(logs) / f"{name}.log"
        self.child, self.started_at = None, 0.0

    def start(self):
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, env=self.env, cwd="/")
        self.started_at = time.monotonic()
        wait_until(self._is_up, lambda: f"{self.name} is not ready:\n{self.log_text()[-3000:]}")
        return self

    def _is_up(self):
        if self.child.poll() is not None:
            raise NotReady(f"{self.name} ended with {self.child.returncode}:\n{self.log_text()[-3000:]}")
        return self.ready()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def died(self):
        """True when it was started, never stopped, and has ended all the same."""
        return self.child is not None and not self.is_running()

    def stop(self, how=signal.SIGTERM, seconds=20):
        """Ends the program and returns its exit status; None when it was not running."""
        if not self.is_running():
            return None
        child, self.child = self.child, None
        child.send_signal(how)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise NotReady(f"{self.name} did not end on signal {how}") from None
