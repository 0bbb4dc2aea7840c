"""policyhost - one nginx for all policy hosts; certificate and document root are chosen by the name asked.

What it serves is plain files, so a policy changes at the next request and no reload is needed.
"""

import pathlib
import socket

from lab.process import Process

ADDRESS = "127.0.5.80"
CONFIG = """\
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  log_format lab "$host $request_uri $status";
  access_log {directory}/access.log lab;
  default_type application/octet-stream;
  types {{ text/plain txt; }}
  client_body_temp_path {directory}/tmp; proxy_temp_path {directory}/tmp; fastcgi_temp_path {directory}/tmp;
  uwsgi_temp_path {directory}/tmp; scgi_temp_path {directory}/tmp;
  server {{
    listen {address}:443 ssl;
    ssl_certificate {directory}/certs/$ssl_server_name.pem;
    ssl_certificate_key {directory}/certs/$ssl_server_name.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    root {directory}/www/$host;
    if (-f {directory}/www/$host/gone) {{ return 404; }}
    if (-f {directory}/www/$host/broken) {{ return 503; }}
  }}
}}
"""


def is_listening(address, port):
    try:
        socket.create_connection((address, port), 0.2).close()
        return True
    except OSError:
        return False


class PolicyHost:
    def __init__(self, directory, programs, ca, logs):
        self.directory, self.ca = pathlib.Path(directory), ca
        for name in ("certs", "www", "tmp"):
            (self.directory / name).mkdir(parents=True)
        config = self.directory / "nginx.conf"
        config.write_text(CONFIG.format(directory=self.directory, address=ADDRESS))
        self.process = Process("nginx", [programs.nginx, "-e", "stderr", "-c", config], logs,
                               lambda: is_listening(ADDRESS, 443), programs.environment())

    def start(self):
        self.process.start()
        return self

    def stop(self):
        """The policy host is down: connections to it are refused."""
        self.process.stop()

    def publish(self, domain, text):
        """Serves `text` as the policy of `domain`, with a good certificate of its own."""
        host = f"mta-sts.{domain}"
        file = self.directory / "www" / host / ".well-known/mta-sts.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        certificate = self.directory / "certs" / f"{host}.pem"
        if not certificate.exists():
            certificate.write_text(self.ca.issue(f"policy-{domain}", [host]).read_text())

    def borrow_certificate(self, domain, other):
        """From now on the policy host of `domain` shows that of `other`."""
        certs = self.directory / "certs"
        (certs / f"mta-sts.{domain}.pem").write_text((certs / f"mta-sts.{other}.pem").read_text())

    def fetches(self, domain):
        """How often its policy file was asked for."""
        log = (self.directory / "access.log").read_text()
        return sum(line.split()[0] == f"mta-sts.{domain}" for line in log.splitlines())

    def set_status(self, domain, status):
        """200 as it should be, or 404, or 503."""
        directory = self.directory / "www" / f"mta-sts.{domain}"
        for name, code in (("gone", 404), ("broken", 503)):
            if status == code:
                (directory / name).touch()
            else:
                (directory / name).unlink(missing_ok=True)
