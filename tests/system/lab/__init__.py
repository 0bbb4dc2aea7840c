"""lab - a whole mail world with real parts, in namespaces of its own.

Nothing here can leave the machine or touch the host's services: tests/system/run starts everything in
private mount, network, PID and host-name namespaces, in which the *default* paths of all programs
are free for us (namespace.py), so that the daemons and the contrib files run as an operator runs them.

    test --SMTP--> Sendmail --milter--> sts-milter --> sts-cached --> unbound (DNS)   127.0.5.53
                      |                                    |            nginx (policies) 127.0.5.80
                      +-------- socket map ----------------+
                      +--SMTP--> receiving MXs, one per certificate profile              127.0.5.101...

packages.py    Debian's sendmail, exim, nginx and unbound, downloaded and unpacked, never installed
namespace.py   private /etc, /dev, /run, /var/lib, /var/spool, /usr/share; host name, hosts, resolv.conf
process.py     one started program: log, readiness, stop by its own id
certs.py       the test CA and its leaves, made by openssl
dns.py         one unbound that owns the root zone; records change at run time, names can be broken
policyhost.py  one nginx that serves every domain's policy with that domain's certificate
mx.py          the receiving side: an SMTP server per profile that remembers what it saw
syslog.py      /dev/log: where Sendmail tells what it did
sendmail.py    Sendmail with the contrib configuration, its queue and its deliveries
exim.py        Exim with the contrib configuration, beside it
postfix.py     Postfix with the contrib lines, beside it
mta.py         what the three have in common
daemons.py     sts-cached, sts-milter and stsctl of the build under test
client.py      the sending user: one SMTP transaction, each reply kept
world.py       all of it together, and domains to send mail to
farm.py        some sts-cached that share a Redis, with DNS and policy hosts of their own (vectors/)
redis.py       redis-server and redis-sentinel, installed by contrib/install-deps, and how to hurt them
proxy.py       what lies between nodes and Redis: slow, or refusing
network.py     a second network namespace, whose packets can be dropped
forger.py      records as an attacker writes them
preload.py     a wall clock and an allocator that go wrong while a daemon runs
load.py        a constant stream of questions, each answer judged
demo.py        the demonstration of contrib/quickstart
demo_farm.py   that of a farm
matrix.py      each MTA against each fault of a receiver: contrib/matrix
matrix_rows.py the faults, and what must become of mail
standin.py     what answers an MTA instead of sts-cached: late, or with nonsense

Everything runs as root and is started once a session; each test makes domains of its own.
Logs are in $STS_LAB_LOGS (default: lab-logs below the build directory).
"""
