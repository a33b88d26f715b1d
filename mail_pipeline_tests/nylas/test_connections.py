import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mail_pipeline.nylas import Limits
from mail_pipeline.nylas.transport import Answer, Broken, Transport
from mail_pipeline_tests.nylas.scripted import KEY

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a file with a key and a certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def listener(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLSocket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as plain, context.wrap_socket(plain, server_side=True) as tls:
        yield tls


@pytest.mark.parametrize("begun", [b"", ANSWER[:-5]])
def test_breaking_off_ends_a_read_through_tls_too(listener, clock, begun):
    outcomes: list[Answer | Broken] = []
    uri = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with Transport(KEY, uri, clock=clock, limits=Limits(read_timeout=60)) as transport:
        worker = threading.Thread(target=lambda: outcomes.append(transport.get("/v3/grants", {})))
        worker.start()
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(begun)
            transport.break_off()
            worker.join(10)
            assert not worker.is_alive()
    [outcome] = outcomes
    assert isinstance(outcome, Broken)
    assert not outcome.unsent


def test_what_was_answered_before_is_not_lost(listener, clock):
    outcomes: list[Answer | Broken] = []
    uri = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with Transport(KEY, uri, clock=clock, limits=Limits(read_timeout=60)) as transport:
        worker = threading.Thread(target=lambda: outcomes.append(transport.get("/v3/grants", {})))
        worker.start()
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(ANSWER)
            worker.join(10)
            transport.break_off()
    [outcome] = outcomes
    assert isinstance(outcome, Answer)
    assert outcome.body == b'{"data":[]}'
