"""The audit as an unmodified python-gitlab reads it."""

from collections.abc import Iterator

import gitlab
import pytest
from gitlab.exceptions import GitlabGetError

from tests.e2e.processes import LarderProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, per_page=2) as client:
        client.auth()
        yield client


def test_the_audit_of_a_project_a_group_and_the_instance_is_listed(gl: gitlab.Gitlab) -> None:
    group = gl.groups.create({"name": "Audited", "path": "audited"})
    project = gl.projects.create({"name": "audited", "namespace_id": group.id})
    for number in range(4):
        project.description = str(number)
        project.save()
    changed = ["project.changed"] * 4
    of_project = project.audit_events.list(get_all=True)
    assert [event.details["event_name"] for event in of_project] == [*changed, "project.created"]
    assert [event.attributes for event in project.audit_events.list(iterator=True, pagination="keyset")] == [
        event.attributes for event in of_project
    ]
    newest = of_project[0]
    assert project.audit_events.get(newest.id).attributes == newest.attributes
    assert (newest.author_id, newest.entity_type, newest.entity_id) == (gl.user.id, "Project", project.id)  # type: ignore[union-attr]  # auth() has filled it
    assert [event.details["event_name"] for event in group.audit_events.list(get_all=True)] == [
        *changed,
        "project.created",
        "group.created",
    ]
    since = gl.audit_events.list(get_all=True, created_after=of_project[-1].created_at)
    assert {event.id for event in of_project} <= {event.id for event in since}
    assert gl.audit_events.list(get_all=True, entity_type="Project", entity_id=project.id)[0].id == newest.id
    assert gl.audit_events.get(newest.id).details == newest.details
    [oldest, *_] = list(group.audit_events.list(iterator=True))[::-1]
    assert group.audit_events.get(oldest.id).entity_type == "Group"
    with pytest.raises(GitlabGetError) as missing:
        group.audit_events.get(10**9)
    assert missing.value.response_code == 404
