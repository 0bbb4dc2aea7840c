"""Postfix in its chroot, by Debian's own master.cf: what contrib/postfix/README.md says about sockets, tried."""

import os
import pathlib
import re
import subprocess

import pytest
from lab.daemons import accepts, program, sanitizer_environment
from lab.process import Process
from lab.world import POSTFIX

ELSEWHERE = ["mail.elsewhere.example"]
QUEUE = pathlib.Path("/var/spool/postfix")  # as in the README
README = (POSTFIX / "README.md").read_text()
LIB = 'LD_LIBRARY_PATH="{libraries}" MAIL_CONFIG="{config}" exec "{postconf}" "$@"'


def readme(line):
    """The line, which the README must have."""
    assert line in README
    return line


def is_chrooted(mta, name):
    """Of all processes of that name which `mta` has started, and there is one."""
    roots = []
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            if status.read_text().startswith(f"Name:\t{name}\n") and os.readlink(status.parent / "cwd") == str(mta.queue):
                roots.append(os.readlink(status.parent / "root"))
        except OSError:  # it has ended
            pass
    assert roots
    return set(roots) == {str(mta.queue)}


def judge(lab, mta):
    """Mail to a good host goes out verified, to a bad one not at all. Returns what is said at RCPT of a
    domain whose MX is not listed."""
    good, bad = lab.domain("good", mode="enforce"), lab.domain("self-signed", mode="enforce")
    outcome = lab.send(good.address(), mta=mta)
    assert (outcome.sent, outcome.verify) == (True, "OK"), outcome
    waits = lab.send(bad.address(), mta=mta)
    assert waits.deferred and waits.delivery.dsn == "4.7.5" and not lab.mx["self-signed"].sessions_with(bad.address())
    unlisted = lab.domain("good", mode="enforce", listed=ELSEWHERE)
    answer = lab.send(unlisted.address(), mta=mta)
    assert answer.code == 451 or answer.deferred
    assert not lab.mx["good"].sessions_with(unlisted.address()) and not lab.in_clear()
    return answer.code


@pytest.fixture
def start(lab):
    """Starts a chrooted Postfix for one test."""
    started = []

    def run(*arguments, **details):
        started.append(lab.chrooted_postfix(*arguments, **details))
        return started[-1]
    yield run
    for mta in started:
        mta.stop()


@pytest.fixture
def milter(lab, tmp_path):
    """Starts an sts-milter of its own with the lab's settings and these."""
    started = []

    def run(lines, is_up):
        file = tmp_path / "sts-milter.conf"
        file.write_text('user = "sts-milter"\nwait = "4s"\n' + lines)
        process = Process("sts-milter-chroot", [program(lab.build, "sts-milter"), "-f", "-c", file], lab.logs, is_up,
                          sanitizer_environment())
        started.append(process.start())
    yield run
    for process in started:
        assert process.stop() == 0


def test_as_they_stand(lab, start):
    """The map is reached by inet; the milter's path is not to be found in there (the control: it does
    matter), and the map enforces all the same."""
    mta = start("chroot", "127.0.5.41", ["sts.cf", "milter.cf"])
    assert judge(lab, mta) == 250
    assert is_chrooted(mta, "smtp") and is_chrooted(mta, "smtpd") and is_chrooted(mta, "cleanup")


def test_smtpd_taken_out(lab, start):
    """With n in smtpd's chroot column the milter is reached as it stands."""
    mta = start("chroot-smtpd", "127.0.5.42", ["sts.cf", "milter.cf"], smtpd_chroot="n")
    assert judge(lab, mta) == 451
    assert is_chrooted(mta, "smtp") and not is_chrooted(mta, "smtpd")


def test_sockets_in_the_queue_directory(lab, start, milter):
    """Both sockets below it, the map's alone, so that nothing else answers."""
    lines = [readme("smtp_tls_policy_maps = socketmap:unix:sts-cached/query.sock:postfix"),
             readme("smtpd_milters = unix:sts-milter/milter.sock")]
    listen, socket = readme('"unix:/var/spool/postfix/sts-cached/query.sock"'), readme('socket = "unix:/var/spool/postfix/sts-milter/milter.sock"')
    mta = start("chroot-unix", "127.0.5.43", ["sts.cf", "milter.cf"], more="\n".join(lines) + "\n", queue=QUEUE)
    for user in ("sts-cached", "sts-milter"):
        subprocess.run(["install", "-d", "-o", user, QUEUE / user], check=True)
    lab.restart_cached(f'listen = {{ "unix:/run/sts-cached/query.sock", {listen} }}\n')
    try:
        milter(f'{socket}\nsocket-group = "postfix"\n', lambda: accepts(str(QUEUE / "sts-milter/milter.sock")))
        assert judge(lab, mta) == 451
        assert is_chrooted(mta, "smtp") and is_chrooted(mta, "smtpd")
    finally:
        lab.restart_cached("")


def postconf_of(mta, folder):
    """A folder for PATH in which that Postfix' own postconf is found."""
    folder.mkdir()
    script = LIB.format(libraries=mta.environment["LD_LIBRARY_PATH"], config=mta.config, postconf=mta.programs.root / "usr/sbin/postconf")
    (folder / "postconf").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "postconf").chmod(0o755)
    return folder


def mta_config(lab, path, *words):
    made = subprocess.run([lab.daemons.stsctl_program, "mta-config", "postfix", *words], capture_output=True, text=True,
                          timeout=60, check=True, env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"})
    return made.stdout


def test_mta_config_and_the_real_postconf(lab, start, milter, tmp_path):
    """What stsctl prints for a chrooted Postfix works in it, with the milter by inet."""
    plain = start("chroot-asked", "127.0.5.44")
    assert plain.run("postconf", "-hF", "smtp/unix/chroot").stdout == "y\n"
    milter(readme('socket = "inet:8462@127.0.0.1"') + "\n", lambda: True)
    lines = mta_config(lab, postconf_of(plain, tmp_path / "asked"), "--milter", "inet:8462@127.0.0.1")
    assert "# Postfix 3.7." in lines and "smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix\n" in lines
    assert readme("smtpd_milters = inet:127.0.0.1:8462") in lines
    mta = start("chroot-told", "127.0.5.45", more=lines)
    assert judge(lab, mta) == 451


def test_mta_config_sees_the_chroot_column(lab, start, tmp_path):
    """Debian's master.cf word for word, then with n: the real postconf is understood."""
    mta = start("chroot-column", "127.0.5.46")
    path, master = postconf_of(mta, tmp_path / "asked"), mta.config / "master.cf"
    debian = (mta.programs.root / "usr/share/postfix/master.cf.dist").read_text()
    master.write_text(debian)
    assert "smtpd_milters" not in mta_config(lab, path)
    master.write_text(re.sub(r"(?m)^(smtp +inet +n +- +)y", r"\1n", debian))
    assert "smtpd_milters = unix:/run/sts-milter/milter.sock\n" in mta_config(lab, path)


def test_tlsrpt_lines_are_read(lab, start):
    """sts-tlsrpt.cf, as far as 3.7 goes: postconf reads every line without a complaint, and the map answers in
    the chroot. (That its replies are by the grammar: test_postfix_attributes.py.)"""
    mta = start("chroot-tlsrpt", "127.0.5.47", ["sts-tlsrpt.cf"])
    shown = mta.run("postconf", "-n")
    wanted = [line for line in (POSTFIX / "sts-tlsrpt.cf").read_text().splitlines() if line and not line.startswith("#")]
    assert set(wanted) <= set(shown.stdout.splitlines()) and not shown.stderr
    domain = lab.domain("good", mode="enforce")
    reply = mta.run("postmap", "-q", domain.name, "socketmap:inet:127.0.0.1:8461:QUERYwithTLSRPT").stdout
    assert reply.startswith("secure match=good.mx.lab.test servername=hostname policy_type=sts")
    with (mta.config / "main.cf").open("a") as more:  # the control: of a line that it cannot read it says so
        more.write("smtp_tls_policy_mapz = x\n")
    assert "smtp_tls_policy_mapz" in mta.run("postconf", "-n").stderr
