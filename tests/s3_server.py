"""A real S3 server for tests: SeaweedFS from a wheel, which they may stop, kill and freeze, and a bucket in it.

Import the fixture `s3_server` into a conftest; all tests of a session share it, each in a prefix of its own.
"""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.backends import backend_is_missing
from tests.waiting import wait_for

BUCKET = "larder-tests"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "larder-of-the-tests", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}
_PATIENCE_SECONDS = 60.0
_PORTS = tuple(
    f"{service}.port{kind}" for kind in ("", ".grpc") for service in ("s3", "filer", "master", "volume", "admin")
)
_FIRST_PORTS = range(12_000, 20_000, len(_PORTS))
"""Below those that the kernel gives away by itself, and those of the fault tests."""


class S3Server:
    """One server with a private directory; what it wrote survives `kill` and `stop`, and `start` brings it back."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._first_port = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    @property
    def endpoint_url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self._first_port}"

    @property
    def client(self) -> Any:
        """Return a client of S3 that shares nothing with the store."""
        return s3_client(self.endpoint_url)

    def new_prefix(self) -> str:
        """Return a prefix that no other test uses."""
        return f"test-{os.getpid()}-{next(self._numbers)}"

    def blob_url(self, prefix: str, *, endpoint_url: str | None = None) -> str:
        """Return what LARDER_BLOB_URL says for this prefix.

        Args:
            endpoint_url: where the server is reached instead.
        """
        return f"s3://{BUCKET}/{prefix}?endpoint_url={endpoint_url or self.endpoint_url}&addressing_style=path"

    def start(self) -> None:
        """Start the server and return when it has its bucket."""
        assert self._process is None, "the server is already running"
        ports = [f"-{name}={self._first_port + place}" for place, name in enumerate(_PORTS)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (
                    *(
                        str(self._binary),
                        "mini",
                        f"-dir={self._directory}",
                        "-ip=127.0.0.1",
                        "-ip.bind=127.0.0.1",
                        *ports,
                    ),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-webdav=false"),
                    *("-admin.ui=false", "-master.telemetry=false", f"-bucket={BUCKET}"),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env={**os.environ, **CREDENTIALS, "HOME": str(self._directory), "TMPDIR": str(self._directory)},
                start_new_session=True,
            )
        wait_for(self._is_ready_or_dead, what="the S3 server has its bucket", timeout_seconds=_PATIENCE_SECONDS)
        if self._process.poll() is not None:
            pytest.fail("the S3 server does not start:\n" + (self._directory / "log").read_text("utf-8")[-3000:])

    def stop(self) -> None:
        """End the server as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let the server hang: it takes connections and answers nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._send(signal.SIGCONT)

    def end(self) -> None:
        """Leave nothing running, whatever a test has done to it."""
        if self._process is not None:
            self.kill()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        self._send(number)
        assert process is not None
        process.wait(_PATIENCE_SECONDS)
        self._process = None

    def _is_ready_or_dead(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        with suppress(BotoCoreError, ClientError):
            self.client.head_bucket(Bucket=BUCKET)
            return True
        return False


@cache
def s3_client(endpoint_url: str) -> Any:
    """Return a client of S3 that shares nothing with the store: it blocks, and speaks through another library."""
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 1},
        ),
    )


@dataclass(frozen=True, slots=True)
class S3Place:
    """What lies below one prefix, seen from outside.

    Args:
        prefix: ends in a slash.
    """

    client: Any
    prefix: str

    @classmethod
    def of(cls, blob_url: str) -> "S3Place":
        """Return the place that a value of LARDER_BLOB_URL names."""
        parts = urlsplit(blob_url)
        return cls(s3_client(parse_qs(parts.query)["endpoint_url"][0]), parts.path.strip("/") + "/")

    def names(self) -> list[str]:
        """Return the names of all objects, without the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self.prefix)
        return self._without_prefix(entry for page in pages for entry in page.get("Contents", []))

    def uploads(self) -> list[str]:
        """Return the names whose multipart upload has begun and neither ended nor been given up."""
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix)
        return self._without_prefix(found.get("Uploads", []))

    def read(self, name: str) -> bytes:
        """Return what is in an object."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=self.prefix + name)["Body"].read()
        return content

    def _without_prefix(self, entries: Iterable[Any]) -> list[str]:
        return [entry["Key"].removeprefix(self.prefix) for entry in entries]


@contextmanager
def new_s3_server() -> Iterator[S3Server]:
    """Run a server of the caller's own."""
    binary = Path(sys.executable).parent / "weed"
    if not binary.is_file():
        backend_is_missing("there is no S3 server")
    directory = Path(tempfile.mkdtemp(prefix="larder-s3-"))
    server = S3Server(binary, directory)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give the server that all tests share; none of them may stop it."""
    with new_s3_server() as server:
        yield server


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the credentials where the store looks for them, and give them, too."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return CREDENTIALS


def _free_ports() -> int:
    """Return the first of as many free ports in a row as it takes."""
    turns = len(_FIRST_PORTS)
    for turn in range(turns):
        first = _FIRST_PORTS[(os.getpid() * 31 + turn) % turns]
        if all(_is_free(first + place) for place in range(len(_PORTS))):
            return first
    raise AssertionError("no ports are free")


def _is_free(port: int) -> bool:
    with socket.socket() as listener, suppress(OSError):
        listener.bind(("127.0.0.1", port))
        return True
    return False
