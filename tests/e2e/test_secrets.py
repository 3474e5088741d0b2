"""No secret that anybody ever brought, right or wrong, stands in an answer, a log, the database, Redis or a blob."""

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.backends import run_apart
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.rows import everything

pytestmark = pytest.mark.slow

ROOT = "glpat-RootSecretOfThisStory0001"
WRONG = tuple(f"{prefix}WrongSecret{number:04}" for number, prefix in enumerate(("glpat-", "gldt-", "glcbt-", "")))
PATIENCE = 60


@dataclass(slots=True)
class Story:
    """What is told to the registry, and what it answers.

    Args:
        secrets: all that were brought or made.
        answers: everything that came back, but for the one answer that tells a secret that was just made.
    """

    larder: LarderProcess
    secrets: set[str] = field(default_factory=lambda: {ROOT, *WRONG})
    answers: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"{self.larder.url}/api/v4"

    @property
    def pypi(self) -> str:
        return f"{self.api}/projects/{self.larder.project_id}/packages/pypi"

    def ask(self, method: str, url: str, **sent: object) -> requests.Response:
        answer = requests.request(method, url, timeout=PATIENCE, allow_redirects=False, **sent)  # type: ignore[arg-type]  # whatever requests takes
        self.answers.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
        return answer

    def make(self, path: str, body: dict[str, Any]) -> str:
        """Have a token made, and return its secret."""
        answer = requests.post(f"{self.api}{path}", json=body, headers={"PRIVATE-TOKEN": ROOT}, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        secret = str(answer.json()["token"])
        self.secrets.add(secret)
        return secret

    def send_raw(self, request: bytes) -> None:
        target = urlsplit(self.larder.url)
        with socket.create_connection((target.hostname, target.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            self.answers.append(connection.recv(65536).decode("latin-1"))


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with running_larder(tmp_path / "var", {"ROOT_TOKEN": ROOT, "AUTH_FAILURES_PER_MINUTE": "100000"}) as larder:
        yield Story(larder)


def _tell(story: Story) -> None:
    """Bring every kind of secret in every place, where it is good and where it is not."""
    made = [
        story.make("/users/1/personal_access_tokens", {"name": "laptop", "scopes": ["api"]}),
        story.make(
            f"/projects/{story.larder.project_id}/deploy_tokens",
            {"name": "ci", "scopes": ["write_package_registry", "read_package_registry"]},
        ),
        story.make(f"/projects/{story.larder.project_id}/job_tokens", {"pipeline": {"id": 7}}),
    ]
    urls = (
        f"{story.pypi}/simple/",
        f"{story.api}/user",
        f"{story.api}/projects/4711/packages",
        f"{story.larder.url}/root/x/-/packages/1",
    )
    for secret in (ROOT, *made, *WRONG):
        for url in urls:
            for name in ("PRIVATE-TOKEN", "JOB-TOKEN", "Deploy-Token", "Sudo", "X-Request-Id", "X-Forwarded-For"):
                story.ask("GET", url, headers={name: secret})
            for username in ("gitlab-ci-token", "anybody", secret):
                story.ask("GET", url, auth=(username, secret))
            story.ask("GET", url, headers={"Authorization": f"Bearer {secret}"})
            for name in ("private_token", "access_token", "bearer_token", "job_token", "token"):
                story.ask("GET", f"{url}?{name}={quote(secret)}&per_page=1")
        story.ask("POST", f"{story.api}/groups", headers={"PRIVATE-TOKEN": ROOT}, json={"private_token": secret})
        story.ask("PUT", f"{story.api}/application/settings", headers={"PRIVATE-TOKEN": secret}, data=f"token={secret}")
        story.send_raw(f"GET / HTTP/1.1\r\nPRIVATE-TOKEN {secret}\r\n\r\n".encode())
        story.send_raw(f"GET /{secret}\xff HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        version = f"1.{len(story.answers)}"
        wheel = {"content": (wheel_file_name("pkg", version), build_wheel("pkg", version))}
        form = {"name": "pkg", "version": version, "private_token": secret, "token": secret, "job_token": secret}
        story.ask("POST", story.pypi, auth=("gitlab-ci-token", secret), data=form, files=wheel)
        broken = {"content": (wheel_file_name("pkg", "0.1"), b"no wheel")}
        story.ask("POST", story.pypi, auth=("anybody", secret), data={**form, "version": "0.1"}, files=broken)
    assert any(answer.startswith("201") for answer in story.answers)


def _spellings(secret: str) -> set[bytes]:
    """Return the secret as it may be written: as it is, and as the password of Basic, wherever the username ends."""
    found = {secret.encode(), quote(secret).encode()}
    for padding in range(3):
        encoded = base64.b64encode(b"x" * padding + secret.encode()).rstrip(b"=")
        # The first and the last characters hold bits of what stands beside the secret.
        found.add(encoded[4:-4])
    return found


def _places(larder: LarderProcess) -> Iterator[tuple[str, bytes]]:
    yield "stdout", larder.output.read_bytes()
    yield "stderr", larder.errors.read_bytes()
    yield "rows", repr(run_apart(everything(larder.database_url))).encode()
    for path in larder.data_dir.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(larder.data_dir)), path.read_bytes()


def test_no_secret_is_kept_or_told(story: Story) -> None:
    _tell(story)
    larder = story.larder
    assert len(larder.events("request.finished")) > 100
    assert larder.stop() == 0
    places = [("an answer", "\n".join(story.answers).encode()), *_places(larder)]
    assert {name for name, _ in places} >= {"stderr", "rows"}
    found = [
        (name, secret)
        for name, content in places
        for secret in story.secrets
        if any(spelling in content for spelling in _spellings(secret))
    ]
    assert found == []


def test_the_search_finds_what_is_there() -> None:
    planted = base64.b64encode(f"user:{ROOT}".encode())
    assert any(spelling in planted for spelling in _spellings(ROOT))
    assert any(spelling in json.dumps({"token": ROOT}).encode() for spelling in _spellings(ROOT))
    assert not any(spelling in b"nothing" for spelling in _spellings(ROOT))
