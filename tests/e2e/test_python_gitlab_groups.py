"""Groups, projects and members as an unmodified python-gitlab administers them."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import gitlab
import pytest
from gitlab.exceptions import GitlabAuthenticationError, GitlabCreateError, GitlabDeleteError, GitlabGetError

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.registry_client import open_client
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, per_page=2) as client:
        client.auth()
        yield client


def test_groups_are_created_listed_changed_and_deleted(gl: gitlab.Gitlab) -> None:
    top = gl.groups.create({"name": "Top", "path": "top", "visibility": "public"})
    subs = [
        gl.groups.create({"name": name, "path": name, "parent_id": top.id, "visibility": "public"})
        for name in ("c", "a", "b")
    ]
    deep = gl.groups.create({"name": "deep", "path": "deep", "parent_id": subs[1].id})
    assert gl.groups.get("top/a/deep").id == deep.id
    assert [one.path for one in top.subgroups.list(iterator=True)] == ["a", "b", "c"]
    assert [one.path for one in top.descendant_groups.list(get_all=True)] == ["a", "b", "c", "deep"]
    listed = gl.groups.list(iterator=True, search="deep", all_available=True)
    assert [one.full_path for one in listed] == ["top/a/deep"]
    assert len(gl.groups.list(get_all=True, skip_groups=[top.id, deep.id])) == 3
    assert len(gl.groups.list(get_all=True, top_level_only=True)) == 1
    assert gl.groups.get("top", with_projects=False).full_name == "Top"
    deep.description = "the deepest"
    deep.save()
    assert gl.groups.get(deep.id).description == "the deepest"
    top.delete()
    with pytest.raises(GitlabGetError, match="404 Group Not Found"):
        gl.groups.get(deep.id)


def test_projects_are_created_listed_changed_and_deleted(gl: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    group = gl.groups.create({"name": "Lab", "path": "lab"})
    projects = [gl.projects.create({"name": name, "namespace_id": group.id}) for name in ("one", "two", "three")]
    assert [one.path for one in group.projects.list(iterator=True)] == ["three", "two", "one"]
    assert [one.path for one in group.projects.list(get_all=True, simple=True, order_by="name", sort="asc")] == [
        "one",
        "three",
        "two",
    ]
    assert gl.projects.get("lab/two").id == projects[1].id
    assert [one.path for one in gl.projects.list(get_all=True, search="lab two", visibility="private")] == []
    assert [one.path for one in gl.projects.list(get_all=True, search="two", visibility="private")] == ["two"]
    project = projects[0]
    project.description = "the first"
    project.package_registry_access_level = "private"
    project.save()
    shown = gl.projects.get(project.id)
    assert (shown.description, shown.packages_enabled) == ("the first", True)
    asyncio.run(_publish(larder_of_module, project.id))
    assert larder_of_module.blobs()
    project.delete()
    with pytest.raises(GitlabGetError, match="404 Project Not Found"):
        gl.projects.get(project.id)
    wait_for(
        lambda: not larder_of_module.blobs(),
        what="the worker has removed the project's blobs",
        timeout_seconds=40,
    )
    group.delete()


async def _publish(larder: LarderProcess, project_id: int) -> None:
    async with open_client(larder.url, token=larder.token, project_id=project_id) as client:
        await client.publish(
            build_wheel("pkg", "1.0"), file_name=wheel_file_name("pkg", "1.0"), name="pkg", version="1.0"
        )


def test_members_are_added_changed_listed_and_removed(gl: gitlab.Gitlab) -> None:
    group = gl.groups.create({"name": "Crew", "path": "crew"})
    sub = gl.groups.create({"name": "Sub", "path": "sub", "parent_id": group.id})
    project = gl.projects.create({"name": "app", "namespace_id": sub.id})
    root = gl.user
    assert root is not None
    owner = group.members.get(root.id)
    assert (owner.username, owner.access_level) == ("root", gitlab.const.AccessLevel.OWNER)
    assert [one.access_level for one in project.members_all.list(get_all=True)] == [50]
    member = project.members.get(root.id)  # Whoever creates a project in a group maintains it.
    expires_at = (datetime.now(UTC).date() + timedelta(days=3)).isoformat()
    member.access_level = gitlab.const.AccessLevel.DEVELOPER
    member.expires_at = expires_at
    member.save()
    assert project.members.get(root.id).expires_at == expires_at
    project.members.delete(root.id)
    assert project.members.list(get_all=True) == []
    assert project.members_all.get(root.id).access_level == 50
    project.members.create({"user_id": root.id, "access_level": gitlab.const.AccessLevel.MAINTAINER})
    with pytest.raises(GitlabCreateError, match="Member already exists") as taken:
        project.members.create({"user_id": root.id, "access_level": 30})
    assert taken.value.response_code == 409
    with pytest.raises(GitlabDeleteError) as refused:
        group.members.delete(root.id)
    assert refused.value.response_code == 403
    group.delete()


def test_nobody_in_particular_sees_public_groups_and_no_members(gl: gitlab.Gitlab) -> None:
    group = gl.groups.create({"name": "Open", "path": "open", "visibility": "public"})
    with gitlab.Gitlab(gl.url) as anonymous:
        assert [one.path for one in anonymous.groups.list(get_all=True)] == ["open"]
        with pytest.raises(GitlabAuthenticationError):
            anonymous.groups.get("open").members.list(get_all=True)
    group.delete()
