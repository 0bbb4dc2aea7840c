"""stsctl mta-config: the lines for the MTA of this host, from the running daemon and a postconf that may lie."""

import json
import os
import pathlib
import subprocess
import time

import pytest
from lab.sendmail import CF

CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
BROKEN = {
    "hanging": "exec sleep 600",
    "garbage": "head -c 300 /dev/urandom",
    "huge": "exec yes 3.10.0",
    "silent": "exit 0",
    "failing": "echo 3.10.0; exit 1",
}


def mta_config(lab, *words, path=None, socket=()):
    return subprocess.run([lab.daemons.stsctl_program, *socket, "mta-config", *words], capture_output=True, text=True, check=False,
                          timeout=60, env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else "/nonexistent"})


def fake_postconf(folder, script):
    """A folder for PATH."""
    program = pathlib.Path(folder) / "postconf"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def postconf_of(version, dns_support="", chroot="y"):
    return f"""case "$*" in
    "-h mail_version") echo {version};;
    "-h smtp_dns_support_level") echo {dns_support};;
    "-h queue_directory") echo /var/spool/postfix;;
    "-hF "*) echo {chroot};;
    *) echo;;
    esac"""


@pytest.mark.parametrize("version, name", [("3.4.0", "postfix"), ("3.7.11", "postfix"), ("3.9.4", "postfix"),
                                           ("3.10.2", "QUERYwithTLSRPT"), ("3.12-20260821", "QUERYwithTLSRPT")])
def test_postfix_by_version(lab, tmp_path, version, name):
    """The map name is the one that this Postfix understands; a chrooted one is led to the inet socket."""
    result = mta_config(lab, "postfix", path=fake_postconf(tmp_path, postconf_of(version)))
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and f"smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:{name}" in lines
    assert f"smtp_tls_CAfile = {CA_FILE}" in lines and f"# Postfix {version}" in lines
    assert not any(line.startswith("smtpd_milters") for line in lines)
    free = mta_config(lab, "postfix", path=fake_postconf(tmp_path, postconf_of(version, chroot="n")))
    assert "smtpd_milters = unix:/run/sts-milter/milter.sock" in free.stdout.splitlines()


@pytest.mark.parametrize("how", BROKEN)
def test_broken_postconf(lab, tmp_path, how):
    """Whatever postconf does, the safe map name comes, in time, and a comment says why."""
    began = time.monotonic()
    result = mta_config(lab, "postfix", path=fake_postconf(tmp_path, BROKEN[how]))
    assert time.monotonic() - began < 30
    assert result.returncode == 0 and "8461:postfix\n" in result.stdout and "\n# the version of Postfix was not found" in result.stdout


def test_no_postconf_and_too_old(lab, tmp_path):
    """Without Postfix, and with one that cannot enforce."""
    assert "was not found" in mta_config(lab, "postfix").stdout
    old = mta_config(lab, "postfix", path=fake_postconf(tmp_path, postconf_of("3.3.1")))
    assert ":postfix\n" in old.stdout and "too old" in old.stdout and "too old" in old.stderr


def test_sendmail_lines_make_a_sendmail_cf(lab, tmp_path):
    """Pasted before MAILER the lines give a configuration that the real Sendmail reads."""
    lines = mta_config(lab, "sendmail").stdout
    assert "FEATURE(`sts_milter', `unix:/run/sts-cached/query.sock', `unix:/run/sts-milter/milter.sock')dnl\n" in lines
    mc, cf = tmp_path / "pasted.mc", tmp_path / "pasted.cf"
    mc.write_text(f"divert(0)dnl\nOSTYPE(`linux')dnl\n{lines}MAILER(`local')dnl\nMAILER(`smtp')dnl\n")
    made = subprocess.run(["m4", f"-D_CF_DIR_={CF}/", CF / "m4/cf.m4", mc], capture_output=True, text=True, check=True)
    assert not made.stderr
    cf.write_text(made.stdout)
    tried = subprocess.run([lab.programs.sendmail, "-C", cf, "-bt"], input="/quit\n", capture_output=True, text=True, check=False,
                           timeout=60, env=lab.programs.environment())
    assert tried.returncode == 0 and "Ksts socket" in made.stdout and "error" not in (tried.stdout + tried.stderr).lower()


def test_exim_json_and_the_milter(lab):
    """Exim's macros; the same as JSON; the milter where it is said to be."""
    assert "STS_SOCKET = /run/sts-cached/query.sock\n" in mta_config(lab, "exim").stdout
    told = json.loads(mta_config(lab, "exim", "--json").stdout)
    assert (told["mta"], told["socket"], told["map"], told["exit"]) == ("exim", "unix:/run/sts-cached/query.sock", "sts", 0)
    assert f"STS_CA_FILE = {CA_FILE}" in told["lines"] and told["warnings"] == [] and told["milter"] is None
    assert "smtpd_milters = inet:127.0.0.1:8462\n" in mta_config(lab, "postfix", "--milter", "inet:8462@127.0.0.1").stdout
    assert "`none')dnl\n" in mta_config(lab, "sendmail", "--milter", "none").stdout


def test_usage_and_missing_daemon(lab):
    """64 for what is no MTA or no socket, 69 with a clear text without a daemon."""
    for words in (["qmail"], [], ["postfix", "exim"], ["postfix", "--milter", "here"]):
        assert mta_config(lab, *words).returncode == 64, words
    away = mta_config(lab, "postfix", socket=["-s", "unix:/run/nobody.sock"])
    assert away.returncode == 69 and "/run/nobody.sock" in away.stderr and not away.stdout
