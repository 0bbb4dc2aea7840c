"""syslog - /dev/log of the lab: everything Sendmail says, in order, as text."""

import os
import pathlib
import re
import socket
import threading

from lab.process import wait_until


class Syslog:
    def __init__(self, logs):
        self.lines = []
        self.file = pathlib.Path(logs) / "syslog.log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def start(self):
        if os.path.lexists("/dev/log"):
            os.unlink("/dev/log")
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        threading.Thread(target=self._collect, daemon=True).start()
        return self

    def stop(self):
        self.socket.close()
        os.unlink("/dev/log")

    def _collect(self):
        with open(self.file, "a", encoding="utf-8") as out:
            while True:
                try:
                    data = self.socket.recv(65536)
                except OSError:
                    return
                line = data.decode(errors="replace").rstrip("\n\0")
                self.lines.append(line)
                out.write(line + "\n")
                out.flush()

    def find(self, pattern, start=0, end=None):
        """All matches of `pattern` in the lines from `start` on, up to `end`."""
        found = (re.search(pattern, line) for line in self.lines[start:end])
        return [match for match in found if match]

    def wait(self, pattern, start=0, seconds=30):
        """Waits for the first line that matches."""
        return wait_until(lambda: self.find(pattern, start),
                          lambda: f"no log line matches {pattern}:\n" + "\n".join(self.lines[-25:]), seconds)[0]
