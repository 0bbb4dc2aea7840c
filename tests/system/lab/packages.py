"""packages - Debian's servers, downloaded and unpacked into a cache directory, never installed."""

import os
import pathlib
import shutil
import subprocess

PACKAGES = ["sendmail-bin", "sendmail-base", "sendmail-cf", "nginx", "unbound"]


class Programs:
    """Where the unpacked programs are, and the environment in which they find their libraries."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sendmail = self.root / "usr/libexec/sendmail/sendmail"
        self.sendmail_cf = self.root / "usr/share/sendmail"
        self.nginx = self.root / "usr/sbin/nginx"
        self.unbound = self.root / "usr/sbin/unbound"
        self.unbound_control = self.root / "usr/sbin/unbound-control"

    def environment(self):
        libraries = sorted(self.root.glob("usr/lib/*-linux-gnu")) + sorted(self.root.glob("lib/*-linux-gnu"))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries)}


def download(into):
    """Fetches the packages and what they need beyond the packages already on this machine."""
    (into / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "install", "-qq", "-y", "--download-only", "--reinstall", "--no-install-recommends",
         "-o", f"Dir::Cache::archives={into}", "-o", "APT::Sandbox::User=root", *PACKAGES],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def fetch(cache):
    """Returns the Programs below `cache`; downloads and unpacks them the first time."""
    cache = pathlib.Path(cache)
    root, complete = cache / "root", cache / "complete"
    wanted = " ".join(PACKAGES)
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(cache, ignore_errors=True)
        root.mkdir(parents=True)
        download(cache / "archives")
        for package in sorted((cache / "archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        # A set-group-ID program would ignore LD_LIBRARY_PATH.
        (root / "usr/libexec/sendmail/sendmail").chmod(0o755)
        complete.write_text(wanted)
    return Programs(root)


if __name__ == "__main__":
    import sys
    fetch(sys.argv[1])
