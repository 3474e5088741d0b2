"""Deploy tokens as people use them: python-gitlab makes and revokes them, twine, pip and uv sign in with them."""

import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.distributions import build_wheel, module_name, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_in_shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NAME = "Deployed.Package"
READ, WRITE = "read_package_registry", "write_package_registry"


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, per_page=2) as client:
        yield client


def test_deploy_tokens_are_made_listed_shown_and_deleted(gl: gitlab.Gitlab) -> None:
    group = gl.groups.create({"name": "Tokens", "path": "tokens"})
    project = gl.projects.create({"name": "app", "namespace_id": group.id})
    sources: tuple[Any, ...] = (project, group)
    for source in sources:
        made = [
            source.deploytokens.create({"name": name, "scopes": [READ, WRITE], "expires_at": end, "username": "ci"})
            for name, end in (("first", None), ("second", "2001-01-01"), ("third", "2199-12-31T12:00:00Z"))
        ]
        assert all(token.token.startswith("gldt-") for token in made)
        listed = source.deploytokens.list(iterator=True)
        assert [(one.name, one.expired, one.revoked) for one in listed] == [
            ("first", False, False),
            ("second", True, False),
            ("third", False, False),
        ]
        assert [one.name for one in source.deploytokens.list(active=True, get_all=True)] == ["first", "third"]
        shown = source.deploytokens.get(made[2].id)
        assert (shown.scopes, shown.username, shown.expires_at) == ([READ, WRITE], "ci", "2199-12-31T12:00:00.000Z")
        assert "token" not in shown.attributes
        made[0].delete()
        source.deploytokens.delete(made[1].id)
        assert [one.name for one in source.deploytokens.list(get_all=True)] == ["third"]
        with pytest.raises(gitlab.GitlabGetError, match="404 Not found"):
            source.deploytokens.get(made[0].id)
        with pytest.raises(gitlab.GitlabDeleteError, match="404 Not found"):
            made[0].delete()
        with pytest.raises(gitlab.GitlabCreateError, match="scopes does not have a valid value") as refused:
            source.deploytokens.create({"name": "x", "scopes": ["api"]})
        assert refused.value.response_code == HTTPStatus.BAD_REQUEST
    assert [one.name for one in gl.deploytokens.list(iterator=True)] == ["third", "third"]
    group.delete()
    assert gl.deploytokens.list(get_all=True) == []


def test_only_administrators_list_the_tokens_of_the_instance(gl: gitlab.Gitlab) -> None:
    ada = gl.users.create({"username": "ada", "name": "Ada", "email": "ada@example.org", "force_random_password": True})
    token = ada.personal_access_tokens.create({"name": "laptop", "scopes": ["api"]}).token
    with gitlab.Gitlab(gl.url, private_token=token) as client, pytest.raises(gitlab.GitlabListError) as refused:
        client.deploytokens.list(get_all=True)
    assert refused.value.response_code == HTTPStatus.FORBIDDEN
    with gitlab.Gitlab(gl.url) as client, pytest.raises(gitlab.GitlabAuthenticationError):
        client.deploytokens.list(get_all=True)


class Desk:
    """A person with a wheel and a private project, at a terminal."""

    def __init__(self, larder: LarderProcess, project_id: int, directory: Path) -> None:
        self.directory = directory
        self.wheel = directory / wheel_file_name(NAME, "1.0")
        self.wheel.write_bytes(build_wheel(NAME, "1.0"))
        self._pypi = f"{larder.url}/api/v4/projects/{project_id}/packages/pypi"

    def publish(self, token: str) -> subprocess.CompletedProcess[str]:
        return run_in_shell(
            f"twine upload --verbose --disable-progress-bar --repository-url {self._pypi} '{self.wheel}'",
            cwd=self.directory,
            TWINE_USERNAME="gitlab+deploy-token",
            TWINE_PASSWORD=token,
            TWINE_NON_INTERACTIVE="1",
        )

    def install(self, tool: str, token: str, target: Path) -> subprocess.CompletedProcess[str]:
        scheme, rest = f"{self._pypi}/simple/".split("://", 1)
        command = "pip install --no-input --no-cache-dir" if tool == "pip" else "uv pip install --no-cache"
        return run_in_shell(
            f"{command} --target '{target}' --index-url '{scheme}://ci:{token}@{rest}' {NAME}", cwd=self.directory
        )


def test_twine_pip_and_uv_sign_in_with_deploy_tokens(
    gl: gitlab.Gitlab, larder_of_module: LarderProcess, tmp_path: Path
) -> None:
    project = gl.projects.create({"name": "deployed", "visibility": "private"})
    desk = Desk(larder_of_module, project.id, tmp_path)
    writer = project.deploytokens.create({"name": "publisher", "scopes": [WRITE]})
    reader = project.deploytokens.create({"name": "installer", "scopes": [READ]})
    narrow = project.deploytokens.create({"name": "other", "scopes": ["read_repository"]})

    # Who may only read, and who may do neither, is told so by the tools.
    assert_refused(desk.publish(reader.token), "403 Forbidden")
    assert_refused(desk.publish(narrow.token), "404 Not Found")
    assert_done(desk.publish(writer.token))
    for tool in ("pip", "uv"):
        assert_done(desk.install(tool, reader.token, tmp_path / tool))
        assert list((tmp_path / tool).glob(f"{module_name(NAME)}*"))

    # From the next request on, a revoked token is nobody's.
    writer.delete()
    reader.delete()
    assert_refused(desk.publish(writer.token), "401 Unauthorized")
    assert_refused(desk.install("pip", reader.token, tmp_path / "none"), "401 Error, Credentials not correct for")
    assert_refused(desk.install("uv", reader.token, tmp_path / "none"), "401 Unauthorized")
    assert not list((tmp_path / "none").glob(f"{module_name(NAME)}*"))


def assert_done(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr


def assert_refused(run: subprocess.CompletedProcess[str], reason: str) -> None:
    assert run.returncode != 0
    assert reason in run.stdout + run.stderr, run.stdout + run.stderr
