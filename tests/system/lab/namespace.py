"""namespace - makes the private namespaces look like a mail host with all default paths free.

tests/system/run has already unshared mount, network, PID and host name; this fills them. A directory
of the host is never written: it is covered by a copy (/etc) or by an empty file system that has
symbolic links to what was there (/var/lib, /var/spool, /usr/share).
"""

import os
import pathlib
import shutil
import socket
import subprocess

HOST_NAME = "mta.lab.test"
MTA_ADDRESS = "127.0.5.25"
DNS_ADDRESS = "127.0.5.53"
MARK = "STS_LAB_NAMESPACE"
COVERED = "/run/covered"
USERS = {"sts-cached": 8461, "sts-milter": 8462, "smmta": 8463, "smmsp": 8464, "Debian-exim": 8465,
         "postfix": 8466, "postdrop": 8467}

NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
HOSTS = f"127.0.0.1 localhost\n{MTA_ADDRESS} {HOST_NAME} mta\n"


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def cover_run():
    mount("-t", "tmpfs", "-o", "mode=755", "lab-run", "/run")
    os.mkdir(COVERED)


def cover_etc(ca_file):
    """A private copy of /etc that trusts the test CA only and resolves by the lab's DNS."""
    shutil.copytree("/etc", "/run/etc", symlinks=True)
    mount("--bind", "/run/etc", "/etc")
    texts = {"resolv.conf": f"nameserver {DNS_ADDRESS}\n", "hosts": HOSTS, "nsswitch.conf": NSSWITCH,
             "ssl/certs/ca-certificates.crt": pathlib.Path(ca_file).read_text()}
    for name, text in texts.items():
        path = pathlib.Path("/etc", name)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pathlib.Path("/etc/mail").mkdir(exist_ok=True)
    add_users()


def add_users():
    passwd, group = pathlib.Path("/etc/passwd"), pathlib.Path("/etc/group")
    for name, number in USERS.items():
        if f"\n{name}:" not in passwd.read_text():
            passwd.write_text(passwd.read_text() + f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
            group.write_text(group.read_text() + f"{name}:x:{number}:\n")


def cover_directory(path):
    """New entries go to memory; the host's own are seen through symbolic links."""
    kept = pathlib.Path(COVERED, path.strip("/").replace("/", "-"))
    kept.mkdir()
    mount("--bind", path, str(kept))
    mount("-t", "tmpfs", "-o", "mode=755", "lab-cover", path)
    for entry in kept.iterdir():
        pathlib.Path(path, entry.name).symlink_to(entry)


def cover_dev():
    """A private /dev, because /dev/log will be ours."""
    new = pathlib.Path("/run/dev")
    new.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "lab-dev", str(new))
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (new / name).touch()
        mount("--bind", f"/dev/{name}", str(new / name))
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (new / name).symlink_to(target)
    (new / "shm").mkdir(mode=0o1777)
    mount("--rbind", str(new), "/dev")


def remove_covered(path):
    """What the host itself has at one of our default paths is not ours to use."""
    link = pathlib.Path(path)
    if link.is_symlink():
        link.unlink()


def is_private():
    return os.environ.get(MARK) == "1"


def populate(ca_file):
    """Turns the fresh namespaces into the mail host. Call once, before anything is started."""
    if not is_private():
        raise RuntimeError("not in a private namespace: start the tests with tests/system/run")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    socket.sethostname(HOST_NAME)
    cover_run()
    cover_etc(ca_file)
    for directory in ("/var/lib", "/var/spool", "/usr/share"):
        cover_directory(directory)
    for path in ("/var/lib/sts-cached", "/var/spool/mqueue", "/var/lib/sendmail", "/usr/share/sendmail"):
        remove_covered(path)
    cover_dev()
