"""A private certificate authority, made with the openssl program.

Lets the scripted upstream answer under the real names of providers.
"""
import ssl
import subprocess


class Authority:
    def __init__(self, folder, name="Test authority"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                      "-nodes", "-days", "2", "-subj", f"/CN={name}",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", "ca.key", "-out", "ca.pem")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def issue(self, *names):
        """Key and certificate (paths) for these host names or addresses."""
        base = names[0].replace("*", "any")
        kinds = ",".join(("IP:" if n.replace(".", "").isdigit() else "DNS:") + n for n in names)
        (self.folder / f"{base}.ext").write_text(
            f"subjectAltName={kinds}\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={names[0]}", "-keyout", f"{base}.key", "-out", f"{base}.csr")
        self._openssl("x509", "-req", "-in", f"{base}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "2", "-extfile", f"{base}.ext",
                      "-out", f"{base}.pem")
        return self.folder / f"{base}.key", self.folder / f"{base}.pem"

    def server_context(self, *names):
        key, certificate = self.issue(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=self.certificate)
