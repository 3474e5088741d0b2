"""Package protection rules as an unmodified python-gitlab administers them, and twine runs into them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gitlab
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabDeleteError, GitlabUpdateError

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, per_page=1) as client:
        client.auth()
        yield client


def test_rules_are_created_listed_changed_and_deleted(gl: gitlab.Gitlab) -> None:
    project = gl.projects.create({"name": "ruled"})
    rules = project.package_protection_rules
    assert rules.list() == []
    rule = rules.create(
        {"package_name_pattern": "v*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}
    )
    assert (rule.project_id, rule.minimum_access_level_for_delete) == (project.id, None)
    second = rules.create(
        {
            "package_name_pattern": "@scope/*",
            "package_type": "npm",
            "minimum_access_level_for_push": None,
            "minimum_access_level_for_delete": "owner",
        }
    )
    listed = rules.list(get_all=True)
    assert [one.package_name_pattern for one in listed] == ["v*", "@scope/*"], "in one piece, whatever a page holds"
    assert [one.id for one in rules.list(iterator=True)] == [rule.id, second.id]
    rule.package_name_pattern = "new*"
    rule.minimum_access_level_for_push = "owner"
    rule.save()
    assert (rule.package_name_pattern, rule.package_type) == ("new*", "pypi")
    rules.update(rule.id, {"minimum_access_level_for_delete": "admin"})
    [first, _] = rules.list(get_all=True)
    assert first.asdict() == {
        "id": rule.id,
        "project_id": project.id,
        "package_name_pattern": "new*",
        "package_type": "pypi",
        "minimum_access_level_for_delete": "admin",
        "minimum_access_level_for_push": "owner",
    }
    with pytest.raises(GitlabCreateError, match="has already been taken") as taken:
        rules.create(
            {"package_name_pattern": "new*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}
        )
    assert taken.value.response_code == 422
    with pytest.raises(GitlabUpdateError, match="package_type does not have a valid value") as invalid:
        rules.update(rule.id, {"package_type": "deb"})
    assert invalid.value.response_code == 400
    rule.delete()
    rules.delete(second.id)
    assert rules.list(get_all=True) == []
    with pytest.raises(GitlabDeleteError, match="404 Not found"):
        rules.delete(rule.id)
    project.delete()


def test_twine_tells_a_developer_that_the_package_is_protected(
    gl: gitlab.Gitlab, larder_of_module: LarderProcess, tmp_path: Path
) -> None:
    project = gl.projects.create({"name": "guarded"})
    user = gl.users.create({"username": "dev", "email": "dev@localhost", "name": "Dev", "reset_password": True})
    token = user.personal_access_tokens.create({"name": "twine", "scopes": ["api"]}).token
    project.members.create({"user_id": user.id, "access_level": gitlab.const.AccessLevel.DEVELOPER})
    rule = project.package_protection_rules.create(
        {"package_name_pattern": "My_*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}
    )
    wheel = tmp_path / wheel_file_name("my-tool", "1.0")
    wheel.write_bytes(build_wheel("my-tool", "1.0"))

    def publish() -> subprocess.CompletedProcess[str]:
        url = f"{larder_of_module.url}/api/v4/projects/{project.id}/packages/pypi"
        command = [sys.executable, "-m", "twine", "upload", "--verbose", "--disable-progress-bar", "--non-interactive"]
        return subprocess.run(
            [*command, "--repository-url", url, "-u", "dev", "-p", token, str(wheel)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    refused = publish()
    assert refused.returncode != 0
    assert "403 Forbidden - Package protected." in refused.stdout + refused.stderr
    rule.delete()
    published = publish()
    assert published.returncode == 0, published.stdout + published.stderr
    project.delete()
