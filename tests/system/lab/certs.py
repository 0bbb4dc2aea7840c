"""certs - the test CA and its certificates. One key serves all leaves: only names and dates matter."""

import pathlib
import subprocess


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

    def issue(self, label, dns_names, common_name="lab", days=30, self_signed=False,
              addresses=(), alt_names=None):
        """Returns a PEM file with certificate and key. days=-1 makes it expired; no DNS names, no SAN.
        `alt_names`: the whole extension instead, as openssl's configuration has it."""
        base = self.directory / label
        request, extensions, cert, out = (base.with_name(label + end) for end in (".csr", ".ext", ".crt", ".pem"))
        names = alt_names or ",".join([*(f"DNS:{name}" for name in dns_names), *(f"IP:{one}" for one in addresses)])
        extensions.write_text("basicConstraints=critical,CA:FALSE\n" + (f"subjectAltName={names}\n" if names else ""))
        openssl("req", "-new", "-key", self.leaf_key, "-subj", f"/CN={common_name[:64]}", "-out", request)
        signer = ["-signkey", self.leaf_key] if self_signed else ["-CA", self.file, "-CAkey", self.key]
        openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", cert)
        out.write_text(cert.read_text() + self.leaf_key.read_text())
        return out
