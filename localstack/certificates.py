"""Certificates of servers on this computer, for the tests and `make mail-servers`."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and what it can issue."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    folder: Path

    def pem(self) -> bytes:
        """Its certificate, for SSL_CERT_FILE."""
        return _pem(self.certificate)

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority alone."""
        context = ssl.create_default_context(cadata=_pem(self.certificate).decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def server_context(self, host: str, *, days: int = 1) -> ssl.SSLContext:
        """A server's, with a certificate for this name; expired when `days` is negative."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server_pem(host, days=days))
        return context

    def server_pem(self, host: str, *, days: int = 1) -> Path:
        """File with the key and certificate of a server, likewise."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue(host, key.public_key(), self.certificate.subject, self.key, days=days)
        path = self.folder / f"{host}-{days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + _pem(certificate))
        return path


def make_authority(folder: Path) -> Authority:
    """A new one, whose servers' files come into `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of this computer alone")])
    return Authority(key, _issue("", key.public_key(), name, key, days=1, subject=name), folder)


def _issue(
    host: str,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    days: int,
    subject: x509.Name | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=subject is not None, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if subject is None:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    else:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
