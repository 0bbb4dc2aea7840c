"""world - the whole lab, started in order, and the domains that tests send mail to."""

import dataclasses
import functools
import itertools
import os
import pathlib
import re

from lab import certs, client, daemons, exim, mx, namespace, packages, postfix, sendmail
from lab.dns import Dns
from lab.policyhost import ADDRESS as POLICY_ADDRESS
from lab.policyhost import PolicyHost
from lab.standin import StandIn
from lab.syslog import Syslog

TOP = pathlib.Path(__file__).resolve().parents[3]
CONTRIB = TOP / "contrib/sendmail"
EXIM = TOP / "contrib/exim"
POSTFIX = TOP / "contrib/postfix"
STOCK_MC = pathlib.Path(__file__).with_name("stock.mc")


@dataclasses.dataclass
class Outcome:
    """What became of a message to one recipient: the client's view and the first delivery attempt."""

    recipient: str
    code: int                 # the answer at RCPT
    text: str
    queue_id: str = ""
    delivery: sendmail.Delivery = None
    verify: str = ""          # Sendmail's judgement of the MX's certificate

    @property
    def sent(self):
        return self.delivery is not None and self.delivery.sent

    @property
    def deferred(self):
        return self.delivery is not None and self.delivery.deferred


@dataclasses.dataclass
class Domain:
    """A receiving domain: its name and the means to change what the world says of it."""

    name: str
    lab: "Lab"
    serial: int = 0

    def address(self, user="bob"):
        return f"{user}@{self.name}"

    def set_policy(self, mode, mx_patterns, max_age=86400):
        """Publishes a policy at the policy host under a new id, and the record that names the id."""
        self.serial += 1
        lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {one}" for one in mx_patterns), f"max_age: {max_age}"]
        self.lab.policies.publish(self.name, "\r\n".join(lines) + "\r\n")
        self.lab.dns.change({(f"mta-sts.{self.name}", "A"): [POLICY_ADDRESS],
                             (f"_mta-sts.{self.name}", "TXT"): [f'"v=STSv1; id={self.serial:08};"']})

    def set_mx(self, *labels):
        """Receives mail at these profiles' hosts, the first one preferred."""
        values = [f"{10 * (n + 1)} {self.lab.mx[label].host}." for n, label in enumerate(labels)]
        self.lab.dns.change({(self.name, "MX"): values})


class Lab:
    """Starts everything; `stop` ends it in the opposite order. One per process."""

    def __init__(self, build=None):
        self.build = pathlib.Path(build or os.environ["STS_LAB_BUILD"])
        self.logs = pathlib.Path(os.environ["STS_LAB_LOGS"])
        self.programs = packages.fetch(os.environ["STS_LAB_CACHE"])
        self.started, self.mx = [], {}
        self.counter = itertools.count(1)

    def start(self):
        ca = certs.CertificateAuthority(self.logs.with_name(f"{self.logs.name}-ca"))
        namespace.populate(ca.file)
        self.syslog = self._start(Syslog(self.logs))
        self.dns = self._start(Dns("/run/lab/dns", self.programs, self.logs))
        self.policies = self._start(PolicyHost("/run/lab/nginx", self.programs, ca, self.logs))
        self.mx = mx.start_all(ca)
        self.dns.change(dict(mx.records(self.mx)))
        self.dns.change({("sender.test", "A"): [namespace.MTA_ADDRESS]})
        self.daemons = self._start(daemons.Daemons(self.build, "/run/lab/conf", self.logs))
        sendmail.install_cf(self.programs, CONTRIB.glob("*.m4"))
        self.mta = self._start(sendmail.Sendmail("sendmail", CONTRIB / "sendmail.mc", self))
        return self

    @functools.cache
    def stock_mta(self):
        """A second Sendmail, with its own FEATURE(sts) as it comes: the control of what ours mends."""
        return self._start(sendmail.Sendmail("stock", STOCK_MC, self, "127.0.5.27"))

    @functools.cache
    def smart_host_mta(self, label, exempt=True):
        """A Sendmail with the contrib configuration that hands all mail to one of the MXs."""
        name, host = f"smart-{label}-{exempt}", self.mx[label].host
        defines = {"SMART_HOST": f"esmtp:[{host}]", **({"confSTS_EXEMPT_HOSTS": host} if exempt else {})}
        return self._start(sendmail.Sendmail(name, CONTRIB / "sendmail.mc", self,
                                             "127.0.5.28" if exempt else "127.0.5.29", defines))

    @functools.cache
    def exim(self, name="exim", address=exim.ADDRESS):
        """Exim with the contrib configuration. It remembers for hours which hosts have failed."""
        return self._new_exim(name, address)

    def _new_exim(self, name, address, macros=None):
        exim.install(EXIM.iterdir())
        return self._start(exim.Exim(name, self, address, macros))

    @functools.cache
    def strange_exim(self):
        """An Exim that asks a stand-in for the cache daemon, and that stand-in."""
        cache = self._start(StandIn({}, "/run/lab/strange.sock"))
        return self._new_exim("exim-strange", "127.0.5.36", {"STS_SOCKET": cache.path}), cache

    @functools.cache
    def smart_host_exim(self, label):
        """An Exim that hands all mail to one of the MXs."""
        return self._new_exim("exim-smart", "127.0.5.37", {"SMART_HOST": self.mx[label].host})

    @functools.cache
    def postfix(self, name="postfix", address=postfix.ADDRESS, files=("sts.cf", "milter.cf"), more=""):
        """Postfix with these files of contrib, and lines of its own after them."""
        return self._start(postfix.Postfix(name, self, [POSTFIX / file for file in files], address, more))

    def chrooted_postfix(self, name, address, files=(), more="", smtpd_chroot="y", queue=None):
        """The same with Debian's master.cf: its daemons are in the queue directory. To be stopped by the test."""
        lines = (self.programs.root / "usr/share/postfix/master.cf.dist").read_text()
        smtpd = f"{address}:25 inet n - {smtpd_chroot} - - smtpd\n"
        master, count = re.subn(r"(?m)^smtp +inet .*\n", smtpd, lines)
        assert count == 1, lines
        made = postfix.Postfix(name, self, [POSTFIX / file for file in files], address, more, master, queue)
        made.fill_chroot()
        return made.start()

    def _start(self, part):
        self.started.append(part)
        return part.start()

    def stop(self):
        for part in reversed(self.started):
            part.stop()
        for one in self.mx.values():
            one.stop()
        reports = daemons.sanitizer_reports()
        assert not reports, "\n".join(reports)

    def restart_cached(self, more):
        """sts-cached runs anew with these lines in its configuration."""
        self.daemons.cached.stop()
        self.daemons.configure_cached(more)
        self.restart_what_is_down()

    def restart_what_is_down(self):
        """What a test has stopped runs again; what has ended by itself is an error. A milter that has
        seen sts-cached down starts anew: it would not ask for another second."""
        died = [one.name for one in (self.policies.process, self.daemons.cached, self.daemons.milter) if one.died()]
        for process in (self.policies.process, self.daemons.cached):
            if not process.is_running():
                process.start()
        if self.daemons.milter.started_at < self.daemons.cached.started_at:
            self.daemons.milter.stop()
        if not self.daemons.milter.is_running():
            self.daemons.milter.start()
        assert not died, f"ended by itself: {died}"

    def domain(self, *mx_labels, mode=None, listed=None, max_age=86400, label="d", name=None):
        """A new domain that receives at `mx_labels`. With a mode it has a policy; `listed` are its mx
        patterns, by default the hosts where it really receives."""
        domain = Domain(name or f"{label}{next(self.counter)}.test", self)
        domain.set_mx(*mx_labels)
        if mode:
            hosts = [self.mx[one].host for one in mx_labels]
            domain.set_policy(mode, hosts if listed is None else listed, max_age)
        return domain

    def send(self, *recipients, mta=None, wire=None):
        """Sends one message and waits for the first attempt at each recipient that was accepted.
        Returns their Outcomes, or the only one when there is one recipient."""
        mta = mta or self.mta
        submission = client.submit(*recipients, address=mta.address, wire=wire)
        outcomes = [self._outcome(mta, submission, recipient) for recipient in recipients]
        return outcomes if len(outcomes) > 1 else outcomes[0]

    def _outcome(self, mta, submission, recipient):
        outcome = Outcome(recipient, *submission.replies[recipient], submission.queue_id)
        if outcome.code == 250:
            outcome.delivery = mta.wait_for_delivery(submission.queue_id, recipient)
            outcome.verify = mta.verify(outcome.delivery)
        return outcome

    def forget_sessions(self):
        for one in self.mx.values():
            one.sessions.clear()

    def sessions(self):
        """What all MXs saw, in order."""
        return sorted((session for one in self.mx.values() for session in one.sessions), key=lambda one: one.began)

    def in_clear(self):
        """All mail commands that any MX got without TLS."""
        return [verb for one in self.mx.values() for verb in one.in_clear()]

    def logs_text(self, lines=60):
        """The ends of all logs, for a failed test's report."""
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
                         for log in sorted(self.logs.iterdir()) if log.stat().st_size)
