"""network - a second network namespace behind a cable, whose packets can be dropped without a word."""

import subprocess

INSIDE, OUTSIDE = "10.86.0.2", "10.86.0.1"


class Cable:
    """`enter`: words before a command line that bring it to the other end, which has `address`."""

    address = INSIDE

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 3600"], stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-n"]
        self._ip("link", "add", "farm0", "type", "veth", "peer", "name", "farm1")
        self._ip("link", "set", "farm1", "netns", str(self.holder.pid))
        self._ip("addr", "add", f"{OUTSIDE}/30", "dev", "farm0")
        self._ip("link", "set", "farm0", "up")
        for words in (f"addr add {INSIDE}/30 dev farm1", "link set farm1 up", "link set lo up",
                      "rule add pref 10 lookup local", "rule del pref 0"):
            self._inside(*words.split())

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True)

    def _inside(self, *words):
        subprocess.run([*self.enter, "ip", *words], check=True)

    def drop(self):
        """All that comes through the cable is dropped; nobody is told."""
        self._inside("rule", "add", "pref", "0", "iif", "farm1", "blackhole")

    def mend(self):
        self._inside("rule", "del", "pref", "0")

    def stop(self):
        self.holder.kill()
        self.holder.wait()
        subprocess.run(["ip", "link", "del", "farm0"], check=False, stderr=subprocess.DEVNULL)
