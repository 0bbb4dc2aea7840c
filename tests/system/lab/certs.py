"""certs - the test CA and its certificates. One key serves all leaves: only names and dates matter."""

import copy
import datetime
import pathlib
import subprocess

# What `openssl ca` wants to know before it signs.
CA_CONFIG = """\
[ca]
default_ca = lab
[lab]
database = {base}.index
new_certs_dir = {directory}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = optional
"""


def openssl(*arguments):
    subprocess.run(["/usr/bin/openssl", *map(str, arguments)], check=True, capture_output=True)


class CertificateAuthority:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file, self.key = self._make_root("lab-ca")
        self.leaf_key = self._make_key("leaf")

    def _make_key(self, name):
        path = self.directory / f"{name}.key"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
        return path

    def _make_root(self, name):
        key, path = self._make_key(name), self.directory / f"{name}.pem"
        openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", 30, "-out", path)
        return path, key

    def stranger(self):
        """Another authority, which nobody knows."""
        return CertificateAuthority(self.directory / "stranger")

    def intermediate(self):
        """Another authority, for which this one vouches."""
        made, base = copy.copy(self), self.directory / "intermediate"
        made.key, made.file = self._make_key("intermediate"), base.with_suffix(".pem")
        base.with_suffix(".ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
        openssl("req", "-new", "-key", made.key, "-subj", "/CN=lab-intermediate", "-out", base.with_suffix(".csr"))
        openssl("x509", "-req", "-in", base.with_suffix(".csr"), "-CA", self.file, "-CAkey", self.key, "-days", 30,
                "-extfile", base.with_suffix(".ext"), "-out", made.file)
        return made

    def issue(self, label, dns_names, common_name="lab", days=30, self_signed=False,
              addresses=(), alt_names=None, from_day=0):
        """Returns a PEM file with certificate and key. days=-1 makes it expired, from_day=1 valid from tomorrow
        on; no DNS names, no SAN.
        `alt_names`: the whole extension instead, as openssl's configuration has it."""
        base = self.directory / label
        request, extensions, cert, out = (base.with_name(label + end) for end in (".csr", ".ext", ".crt", ".pem"))
        names = alt_names or ",".join([*(f"DNS:{name}" for name in dns_names), *(f"IP:{one}" for one in addresses)])
        extensions.write_text("basicConstraints=critical,CA:FALSE\n" + (f"subjectAltName={names}\n" if names else ""))
        openssl("req", "-new", "-key", self.leaf_key, "-subj", f"/CN={common_name[:64]}", "-out", request)
        signer = ["-signkey", self.leaf_key] if self_signed else ["-CA", self.file, "-CAkey", self.key]
        if from_day:
            self._sign_for_later(base, request, extensions, cert, from_day, days)
        else:
            openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", cert)
        out.write_text(cert.read_text() + self.leaf_key.read_text())
        return out

    def _sign_for_later(self, base, request, extensions, cert, from_day, days):
        """`openssl x509` of 3.0 knows no other first day than today."""
        config, index = (base.with_name(base.name + end) for end in (".cnf", ".index"))
        config.write_text(CA_CONFIG.format(base=base, directory=self.directory))
        index.write_text("")
        first, last = (f"{datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=day):%Y%m%d%H%M%SZ}"
                       for day in (from_day, from_day + days))
        openssl("ca", "-batch", "-notext", "-config", config, "-in", request, "-cert", self.file, "-keyfile", self.key,
                "-startdate", first, "-enddate", last, "-extfile", extensions, "-out", cert)
