"""Who may read the audit, and what it shows: GitLab's shape, page by page or from cursor to cursor."""

import json
import re

import aiohttp
import pytest

from services.api.routes import API, ENDPOINTS
from shared.models import AccessLevel
from tests.api.published import add_deploy_token
from tests.api.registry import ROOT_TOKEN, Answer, Registry

LISTS = (f"{API}/audit_events", f"{API}/projects/team%2Fapp/audit_events", f"{API}/groups/team/audit_events")


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_UPLOAD_WAIT_SECONDS": "0"}  # Nobody looks at what is uploaded here.


@pytest.fixture
async def tokens(bare_registry: Registry) -> dict[str, str]:
    """Give a token of each kind of member of `team/app`, and those of an owner of `team` and of a stranger."""
    registry = bare_registry
    app = await registry.add_project("app")
    found = {"root": ROOT_TOKEN, "deploy": await add_deploy_token(registry, app)}
    for name in ("stranger", "developer", "maintainer", "owner"):
        user, found[name] = await registry.add_user(name)
        if name == "owner":
            async with registry.backends.store.writing() as rows:
                level = AccessLevel.OWNER
                await rows.tenants.add_namespace_member(app.namespace, user.id, level=level, expires_at=None)
        elif name != "stranger":
            await registry.add_member(app, user, AccessLevel[name.upper()])
    return found


async def change_something(registry: Registry) -> None:
    for number in range(5):
        body = {"description": f"number {number}"}
        await registry.ask("PUT", f"{API}/projects/team%2Fapp", data=json.dumps(body), Content_Type="application/json")
    await registry.ask("PUT", f"{API}/groups/team", data='{"description": "x"}', Content_Type="application/json")


READERS: list[tuple[str | None, tuple[int, ...]]] = [
    (None, (401, 401, 401)),
    ("stranger", (403, 404, 403)),
    ("developer", (403, 403, 403)),
    ("maintainer", (403, 200, 403)),
    ("owner", (403, 200, 200)),
    ("root", (200, 200, 200)),
    ("deploy", (401, 401, 401)),
]
"""Who asks for each of the lists, and the statuses."""


async def test_only_maintainers_owners_and_administrators_read_it(
    bare_registry: Registry, tokens: dict[str, str]
) -> None:
    await change_something(bare_registry)
    newest = [(await bare_registry.get(f"{url}?per_page=1")).json[0]["id"] for url in LISTS]
    for who, statuses in READERS:
        for url, event_id, status in zip(LISTS, newest, statuses, strict=True):
            token = who and tokens[who]
            listed, shown = [await bare_registry.get(f"{url}{end}", token=token) for end in ("", f"/{event_id}")]
            assert (listed.status, shown.status) == (status, status), (who, url)
            if status != 200:
                assert listed.body == shown.body


async def test_to_a_stranger_the_audit_of_a_private_project_is_that_of_a_missing_one(
    bare_registry: Registry, tokens: dict[str, str]
) -> None:
    for end in ("audit_events", "audit_events/1", "audit_events?per_page=0"):
        hidden, missing = [
            await bare_registry.get(f"{API}/projects/{name}/{end}", token=tokens["stranger"])
            for name in ("team%2Fapp", "team%2Fnone")
        ]
        assert (
            (hidden.status, hidden.body)
            == (missing.status, missing.body)
            == (404, b'{"message":"404 Project Not Found"}')
        )


async def test_an_event_has_gitlabs_shape(bare_registry: Registry, tokens: dict[str, str]) -> None:
    await change_something(bare_registry)
    [event] = (await bare_registry.get(f"{LISTS[1]}?per_page=1", token=tokens["maintainer"])).json
    project = (await bare_registry.get(f"{API}/projects/team%2Fapp")).json
    own_token = (await bare_registry.get(f"{API}/personal_access_tokens/self")).json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["created_at"])
    assert event == {
        "id": event["id"],
        "author_id": 1,
        "entity_id": project["id"],
        "entity_type": "Project",
        "details": {
            "event_name": "project.changed",
            "author_name": "Administrator",
            "author_class": "user",
            "token_id": own_token["id"],
            "target_id": project["id"],
            "target_type": "project",
            "target_details": f"project:{project['id']}",
            "entity_path": "team/app",
            "description": "changed",
        },
        "created_at": event["created_at"],
    }
    one = await bare_registry.get(f"{LISTS[1]}/{event['id']}", token=tokens["maintainer"])
    assert one.json == event


async def test_events_belong_to_projects_groups_users_or_the_instance(
    bare_registry: Registry, tokens: dict[str, str]
) -> None:
    registry = bare_registry
    await change_something(registry)
    user = {"email": "n@localhost", "username": "n", "name": "N", "reset_password": True}
    user_id = (await registry.post_json(f"{API}/users", user)).json["id"]
    await registry.ask("PUT", f"{API}/application/settings?allow_guest_plus_roles_to_pull_packages=false")
    await registry.post_json(f"{API}/users/1/personal_access_tokens", {"name": "x", "scopes": ["api"]})
    events = (await registry.get(f"{LISTS[0]}?per_page=100")).json
    kinds = {event["details"]["event_name"]: (event["entity_type"], event["entity_id"]) for event in reversed(events)}
    assert kinds["user.created"] == ("User", user_id)
    assert kinds["access_token.created"] == ("User", 1)
    assert kinds["instance_settings.changed"] == ("Gitlab::Audit::InstanceScope", 1)
    assert kinds["group.changed"][0] == "Group"
    assert kinds["project.changed"][0] == "Project"
    assert [event["id"] for event in events] == sorted((event["id"] for event in events), reverse=True)
    authors = {event["details"]["author_name"]: event["author_id"] for event in events}
    assert authors["Administrator"] == 1
    assert authors["system"] == -1


async def test_what_a_deploy_token_does_is_told_of_the_token(bare_registry: Registry, tokens: dict[str, str]) -> None:
    form = aiohttp.FormData({"name": "pkg", "version": "1.0"}, default_to_multipart=True)
    form.add_field("content", b"x", filename="pkg-1.0.tar.gz")
    credentials = aiohttp.encode_basic_auth("ci", tokens["deploy"])
    url = f"{API}/projects/team%2Fapp/packages/pypi"
    answer = await bare_registry.ask("POST", url, token=None, data=form, Authorization=credentials)
    assert answer.status == 202
    [event] = (await bare_registry.get(f"{LISTS[1]}?per_page=1")).json
    assert event["author_id"] == -2
    assert event["details"]["event_name"] == "package_file.uploaded"
    assert event["details"]["author_name"] == f"deploy_token:{event['details']['token_id']}"


def _next(answer: Answer) -> str | None:
    found = re.search(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
    return found and found[1]


async def _followed(registry: Registry, url: str) -> list[list[int]]:
    """Return the ids of the events by page, as far as the links lead."""
    pages: list[list[int]] = []
    following: str | None = url
    while following is not None:
        answer = await registry.get(following)
        assert answer.status == 200
        pages.append([event["id"] for event in answer.json])
        following = _next(answer)
    return pages


async def test_pages_and_cursors_lead_through_the_same_events(bare_registry: Registry, tokens: dict[str, str]) -> None:
    await change_something(bare_registry)
    url = LISTS[1]
    everything = [event["id"] for event in (await bare_registry.get(f"{url}?per_page=100")).json]
    assert len(everything) == 5
    expected = [everything[:2], everything[2:4], everything[4:]]
    for pagination in ("", "&pagination=keyset", "&pagination=keyset&order_by=id&sort=desc"):
        assert await _followed(bare_registry, f"{url}?per_page=2{pagination}") == expected
    first = await bare_registry.get(f"{url}?per_page=2")
    assert (first.headers["x-total"], first.headers["x-total-pages"]) == ("5", "3")
    keyset = await bare_registry.get(f"{url}?per_page=2&pagination=keyset")
    assert "x-total" not in keyset.headers
    refused = await bare_registry.get(f"{url}?pagination=keyset&sort=asc")
    assert (refused.status, "Keyset pagination is not yet" in refused.json["error"]) == (405, True)


async def test_a_span_of_time_goes_with_the_links(bare_registry: Registry, tokens: dict[str, str]) -> None:
    await change_something(bare_registry)
    events = (await bare_registry.get(LISTS[1])).json
    oldest = events[-1]["created_at"]
    for pagination in ("", "&pagination=keyset"):
        after = await _followed(bare_registry, f"{LISTS[1]}?per_page=2&created_after={oldest}{pagination}")
        assert [event_id for page in after for event_id in page] == [event["id"] for event in events]
        assert (await _followed(bare_registry, f"{LISTS[1]}?created_before=2000-01-01{pagination}")) == [[]]
        assert (await _followed(bare_registry, f"{LISTS[1]}?created_after=2100-01-01T00:00:00Z{pagination}")) == [[]]


async def test_an_administrator_narrows_the_list_to_a_project_or_group(
    bare_registry: Registry, tokens: dict[str, str]
) -> None:
    await change_something(bare_registry)
    project = (await bare_registry.get(f"{API}/projects/team%2Fapp")).json
    for kind, entity_id, url in (
        ("Project", project["id"], LISTS[1]),
        ("Group", project["namespace"]["id"], LISTS[2]),
    ):
        narrowed = (await bare_registry.get(f"{LISTS[0]}?entity_type={kind}&entity_id={entity_id}")).json
        assert narrowed == (await bare_registry.get(url)).json != []


INVALID = [
    ("created_after=yesterday", "created_after is invalid"),
    ("created_before=2026-13-01", "created_before is invalid"),
    ("cursor=x&pagination=keyset", "cursor is invalid"),
    ("per_page=0", "per_page has a value not allowed"),
    ("entity_type=Project", "entity_id is missing"),
    ("entity_id=1", "entity_type is missing"),
    ("entity_type=User&entity_id=1", "entity_type does not have a valid value"),
    ("page=x&created_after=y", "page is invalid, created_after is invalid"),
]


async def test_what_is_no_filter_is_refused(bare_registry: Registry) -> None:
    for query, error in INVALID:
        answer = await bare_registry.get(f"{LISTS[0]}?{query}")
        assert (answer.status, answer.json) == (400, {"error": error})


async def test_an_event_of_another_project_is_not_there(bare_registry: Registry, tokens: dict[str, str]) -> None:
    await change_something(bare_registry)
    await bare_registry.add_project("other")
    [event] = (await bare_registry.get(f"{LISTS[1]}?per_page=1")).json
    for url in (f"{API}/projects/team%2Fother/audit_events", f"{API}/groups/team/audit_events/0{'9' * 30}"):
        answer = await bare_registry.get(f"{url}/{event['id']}" if "other" in url else url)
        assert (answer.status, answer.json) == (404, {"message": "404 Not found"})
    assert (await bare_registry.get(f"{LISTS[0]}/x")).status == 400


def test_no_route_changes_the_audit() -> None:
    methods = {method for endpoint in ENDPOINTS if "audit_events" in endpoint.path for method in endpoint.methods}
    assert methods == {"GET"}
