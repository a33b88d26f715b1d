"""A bucket on a real S3 server of this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from moto.server import ThreadedMotoServer


@contextmanager
def bucket() -> Iterator[str]:
    """Serve an empty bucket; gives the address of a folder in it for MAIL_PIPELINE_ATTACHMENTS."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "somebody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=30)
        assert requests.put(f"http://{host}:{port}/mail", timeout=30).ok
        yield f"s3://mail/some/folder?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    server.stop()
