"""packages - Debian's servers, downloaded and unpacked into a cache directory, never installed."""

import fcntl
import os
import pathlib
import subprocess

PACKAGES = ["sendmail-bin", "sendmail-base", "sendmail-cf", "nginx", "unbound",
            "exim4-daemon-heavy", "postfix", "ldnsutils"]
SET_ID_PROGRAMS = ["usr/libexec/sendmail/sendmail", "usr/sbin/exim4", "usr/sbin/postdrop",
                   "usr/sbin/postqueue"]


class Programs:
    """Where the unpacked programs are, and the environment in which they find their libraries."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sendmail = self.root / "usr/libexec/sendmail/sendmail"
        self.sendmail_cf = self.root / "usr/share/sendmail"
        self.exim = self.root / "usr/sbin/exim4"
        self.exim_config = self.root / "etc/exim4"
        self.nginx = self.root / "usr/sbin/nginx"
        self.unbound = self.root / "usr/sbin/unbound"
        self.unbound_control = self.root / "usr/sbin/unbound-control"

    def environment(self):
        libraries = sorted(self.root.glob("usr/lib/*-linux-gnu")) + sorted(self.root.glob("lib/*-linux-gnu"))
        libraries.append(self.root / "usr/lib")
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries)}


def download(package, into):
    """Fetches the package and what it needs beyond the packages already on this machine. One at a time:
    Debian's MTAs exclude each other."""
    (into / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "install", "-qq", "-y", "--download-only", "--reinstall", "--no-install-recommends",
         "-o", f"Dir::Cache::archives={into}", "-o", "APT::Sandbox::User=root", package],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def unpack(package, cache):
    """Adds the package and what it needs to the root below `cache`."""
    archives = cache / "archives" / package
    download(package, archives)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, cache / "root"], check=True)
    # A set-ID program would ignore LD_LIBRARY_PATH.
    for program in SET_ID_PROGRAMS:
        if (cache / "root" / program).exists():
            (cache / "root" / program).chmod(0o755)


def fetch(cache, wanted=PACKAGES):
    """Returns the Programs below `cache`; downloads and unpacks those that are not there yet. Others may do the
    same at the same time, with other packages."""
    cache = pathlib.Path(cache)
    (cache / "root").mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for package in wanted:
            complete = cache / f"complete-{package}"
            if not complete.exists():
                unpack(package, cache)
                complete.touch()
    return Programs(cache / "root")


if __name__ == "__main__":
    import sys
    fetch(sys.argv[1])
