"""The tokens of CI jobs over HTTP: who lets jobs begin, sees them and ends them."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.models import AccessLevel, UserState, Visibility
from tests.api.jobs import basic, begin, begin_expired, mint
from tests.api.registry import ROOT_TOKEN, Registry

DEVELOPER, MAINTAINER = AccessLevel.DEVELOPER, AccessLevel.MAINTAINER
PIPELINE = {
    "id": 7,
    "iid": 3,
    "ref": "main",
    "sha": "b83d6e391c22777fca1ed3012fce84f633d7fed0",
    "source": "push",
    "status": "running",
    "web_url": "https://ci.localhost/team/app/-/pipelines/7",
}
KEYS = ["id", "expires_at", "user_id", "pipeline"]
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NOT_FOUND = b'{"message":"404 Not Found"}'
NO_PROJECT = b'{"message":"404 Project Not Found"}'
NO_USER = b'{"message":"404 User Not Found"}'


def seconds_left(expires_at: str) -> float:
    return (datetime.fromisoformat(expires_at) - datetime.now(UTC)).total_seconds()


async def test_a_maintainer_lets_a_job_of_his_begin(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    ada, token = await bare_registry.add_user("ada")
    await bare_registry.add_member(project, ada, MAINTAINER)
    answer = await mint(bare_registry, project, {"pipeline": PIPELINE}, token=token)
    made = answer.json
    assert answer.status == 201
    assert list(made) == [*KEYS, "token"]
    assert re.fullmatch(r"glcbt-[A-Za-z0-9_-]{27,}", made["token"])
    assert made["user_id"] == ada.id
    assert 3500 < seconds_left(made["expires_at"]) <= 3600
    pipeline = made["pipeline"]
    assert pipeline.pop("created_at") == pipeline.pop("updated_at")
    assert pipeline == {
        **PIPELINE,
        "project_id": project.id,
        "user": {
            "id": ada.id,
            "username": "ada",
            "public_email": "",
            "name": "ada",
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{bare_registry.url}/ada",
        },
    }
    used = await bare_registry.get(
        f"{bare_registry.pypi_of(project.id)}/simple/", token=None, Authorization=basic(made["token"])
    )
    assert used.status == 200


async def test_nothing_but_the_digest_of_a_secret_is_kept(bare_registry: Registry) -> None:
    made = (await mint(bare_registry, bare_registry.project_id, {"pipeline": PIPELINE})).json
    ((*kept,),) = await bare_registry.rows("SELECT * FROM access_tokens WHERE kind = 'job'")
    (*_, told) = await bare_registry.rows("SELECT action, actor, target, project_id, details FROM audit_events")
    assert hashlib.sha256(made["token"].encode()).hexdigest() in kept
    assert made["token"] not in str(kept) + str(told)
    assert told[:4] == ("job_token.created", "user:1", f"job_token:{made['id']}", bare_registry.project_id)


@pytest.mark.parametrize(
    ("level", "visibility", "status", "body"),
    [
        (MAINTAINER, Visibility.PRIVATE, 201, None),
        (AccessLevel.OWNER, Visibility.PRIVATE, 201, None),
        (DEVELOPER, Visibility.PRIVATE, 403, FORBIDDEN),
        (None, Visibility.PRIVATE, 404, NO_PROJECT),
        (None, Visibility.PUBLIC, 403, FORBIDDEN),
    ],
)
async def test_it_takes_a_maintainer_to_let_jobs_begin_or_to_see_them(
    bare_registry: Registry, level: AccessLevel | None, visibility: Visibility, status: int, body: bytes | None
) -> None:
    project = await bare_registry.add_project("app", visibility=visibility)
    user, token = await bare_registry.add_user("somebody")
    if level is not None:
        await bare_registry.add_member(project, user, level)
    made = await mint(bare_registry, project, {"pipeline": PIPELINE}, token=token)
    listed = await bare_registry.get(f"/api/v4/projects/{project.id}/job_tokens", token=token)
    assert (made.status, listed.status) == (status, 200 if status == 201 else status)
    if body is not None:
        assert (made.body, listed.body) == (body, body)


async def test_nobody_and_jobs_themselves_are_told_to_sign_in(bare_registry: Registry) -> None:
    project_id = bare_registry.project_id
    job = await begin(bare_registry, project_id)
    url = f"/api/v4/projects/{project_id}/job_tokens"
    for headers in ({}, {"JOB-TOKEN": job}, {"Authorization": f"Bearer {job}"}, {"Authorization": basic(job)}):
        for method, path in (("GET", url), ("POST", url), ("DELETE", f"{url}/1")):
            answer = await bare_registry.ask(method, path, token=None, **headers)
            assert (answer.status, answer.body) == (401, UNAUTHORIZED)


async def test_only_administrators_say_as_whom_a_job_acts(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    ada, token = await bare_registry.add_user("ada")
    bob, _ = await bare_registry.add_user("bob")
    gone, _ = await bare_registry.add_user("gone")
    await bare_registry.add_member(project, ada, MAINTAINER)
    async with bare_registry.backends.store.writing() as rows:
        await rows.users.set_state(gone.id, UserState.BLOCKED, source=UserState.ACTIVE)
    for caller, user_id, status, body in (
        (token, ada.id, 201, None),
        (token, str(ada.id), 201, None),
        (token, None, 201, None),
        (token, "", 201, None),
        (token, bob.id, 403, FORBIDDEN),
        (token, gone.id, 403, FORBIDDEN),
        (token, 999, 403, FORBIDDEN),
        (ROOT_TOKEN, bob.id, 201, None),
        (ROOT_TOKEN, gone.id, 404, NO_USER),
        (ROOT_TOKEN, 999, 404, NO_USER),
        (ROOT_TOKEN, 2**63 - 1, 404, NO_USER),
        (token, "ada", 400, b'{"error":"user_id is invalid"}'),
        (token, -1, 400, b'{"error":"user_id is invalid"}'),
    ):
        answer = await mint(bare_registry, project, {"pipeline": PIPELINE, "user_id": user_id}, token=caller)
        assert answer.status == status, (user_id, answer.body)
        if body is not None:
            assert answer.body == body
    assert (await mint(bare_registry, project, {"pipeline": PIPELINE, "user_id": bob.id})).json["user_id"] == bob.id


NO_JOBS: list[tuple[Any, str]] = [
    ({}, "pipeline is missing, pipeline[id] is missing"),
    ({"pipeline": None}, "pipeline is missing, pipeline[id] is missing"),
    ({"pipeline": {}}, "pipeline[id] is missing"),
    ({"pipeline": {"iid": 3}}, "pipeline[id] is missing"),
    ({"pipeline": {"id": None}}, "pipeline[id] is missing"),
    ({"pipeline": {"id": ""}}, "pipeline[id] is missing"),
    ({"pipeline": "7"}, "pipeline is invalid, pipeline[id] is missing"),
    ({"pipeline": [{"id": 7}]}, "pipeline is invalid, pipeline[id] is missing"),
    ({"pipeline": 7}, "pipeline is invalid, pipeline[id] is missing"),
    ({"pipeline": {"id": "seven"}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": 0}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": -7}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": 2**63}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": 7.5}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": True}}, "pipeline[id] is invalid"),
    ({"pipeline": {"id": 7, "iid": "x"}}, "pipeline[iid] is invalid"),
    ({"pipeline": {"id": 7, "ref": 5}}, "pipeline[ref] is invalid"),
    ({"pipeline": {"id": 7, "ref": "a\nb"}}, "pipeline[ref] is invalid"),
    ({"pipeline": {"id": 7, "ref": "a" * 256}}, "pipeline[ref] is too long (maximum is 255 characters)"),
    ({"pipeline": {"id": 7, "sha": "a" * 65}}, "pipeline[sha] is too long (maximum is 64 characters)"),
    ({"pipeline": {"id": 7, "source": {}}}, "pipeline[source] is invalid"),
    ({"pipeline": {"id": 7, "status": " "}}, "pipeline[status] is empty"),
    ({"pipeline": {"id": 7, "web_url": "javascript:alert(1)"}}, "pipeline[web_url] is invalid"),
    ({"pipeline": {"id": 7, "web_url": "https://ci.localhost/a b"}}, "pipeline[web_url] is invalid"),
    (
        {"pipeline": {"id": 7, "web_url": "https://" + "a" * 2048}},
        "pipeline[web_url] is too long (maximum is 2048 characters)",
    ),
    ({"pipeline": {"id": 7}, "expires_in": 0}, "expires_in does not have a valid value"),
    ({"pipeline": {"id": 7}, "expires_in": -1}, "expires_in does not have a valid value"),
    ({"pipeline": {"id": 7}, "expires_in": 86401}, "expires_in does not have a valid value"),
    ({"pipeline": {"id": 7}, "expires_in": "soon"}, "expires_in is invalid"),
    ({"pipeline": {"id": 7}, "expires_in": 1.5}, "expires_in is invalid"),
    (
        {"pipeline": {"ref": []}, "expires_in": 0, "user_id": "x"},
        "pipeline[id] is missing, pipeline[ref] is invalid, expires_in does not have a valid value, user_id is invalid",
    ),
]


async def test_what_does_not_describe_a_job_is_told_as_grape_does(bare_registry: Registry) -> None:
    for body, problem in NO_JOBS:
        answer = await mint(bare_registry, bare_registry.project_id, body)
        assert (answer.status, answer.json) == (400, {"error": problem})


async def test_lifetimes_and_what_may_be_left_out(bare_registry: Registry) -> None:
    for wish, seconds in ((1, 1), (86400, 86400), ("600", 600), (None, 3600)):
        answer = await mint(bare_registry, bare_registry.project_id, {"pipeline": {"id": "9"}, "expires_in": wish})
        assert answer.status == 201
        assert seconds - 100 < seconds_left(answer.json["expires_at"]) <= seconds
        told = answer.json["pipeline"]
        assert {told[name] for name in ("iid", "ref", "sha", "source", "status")} == {None}
        assert (told["id"], told["web_url"]) == (9, f"{bare_registry.url}/root/packages/-/pipelines/9")


async def test_a_form_describes_a_job_as_well(bare_registry: Registry) -> None:
    answer = await bare_registry.ask(
        "POST",
        f"/api/v4/projects/{bare_registry.project_id}/job_tokens?pipeline%5Bref%5D=never&expires_in=60",
        data="pipeline[id]=7&pipeline%5Bstatus%5D=success&pipeline[ref]=",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert answer.status == 201
    told = answer.json["pipeline"]
    assert (told["id"], told["status"], told["ref"]) == (7, "success", None)
    assert seconds_left(answer.json["expires_at"]) <= 60


async def test_the_same_pipeline_again_is_brought_up_to_date(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    ada, _ = await bare_registry.add_user("ada")
    first = (await mint(bare_registry, project, {"pipeline": PIPELINE})).json
    body = {"pipeline": {"id": 7, "status": "success"}, "user_id": ada.id}
    second = (await mint(bare_registry, project, body)).json
    elsewhere = (await mint(bare_registry, bare_registry.project_id, {"pipeline": {"id": 7}})).json
    assert second["id"] != first["id"]
    assert (second["user_id"], second["pipeline"]["user"]["id"]) == (ada.id, 1)
    assert second["pipeline"] | {"updated_at": ""} == {**first["pipeline"], "status": "success", "updated_at": ""}
    assert elsewhere["pipeline"]["ref"] is None
    assert len(await bare_registry.rows("SELECT id FROM pipelines")) == 2


async def test_the_jobs_that_run_are_listed_newest_first_without_their_secrets(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    made = [(await mint(bare_registry, project, {"pipeline": {"id": number}})).json for number in (7, 8, 9)]
    await mint(bare_registry, bare_registry.project_id, {"pipeline": {"id": 1}})
    url = f"/api/v4/projects/{project.id}/job_tokens"
    assert (await bare_registry.ask("DELETE", f"{url}/{made[1]['id']}")).status == 204
    await begin_expired(bare_registry, project)
    listed = await bare_registry.get(f"{url}?per_page=1")
    rest = await bare_registry.get("/api/v4/projects/team%2Fapp/job_tokens?per_page=1&page=2")
    assert [*map(list, listed.json)] == [KEYS]
    assert listed.json + rest.json == [{name: made[n][name] for name in KEYS} for n in (2, 0)]
    assert (listed.headers["x-total"], listed.headers["x-next-page"]) == ("2", "2")
    assert 'rel="next"' in listed.headers["link"]


async def test_a_job_is_ended_by_who_began_it_by_its_user_and_by_administrators(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    people = {name: await bare_registry.add_user(name) for name in ("minter", "user", "other", "stranger")}
    for name in ("minter", "user", "other"):
        await bare_registry.add_member(project, people[name][0], MAINTAINER)
    url = f"/api/v4/projects/{project.id}/job_tokens"

    async def end(token_id: object, name: str | None) -> tuple[int, bytes]:
        answer = await bare_registry.ask("DELETE", f"{url}/{token_id}", token=people[name][1] if name else ROOT_TOKEN)
        return answer.status, answer.body

    by_minter = (await mint(bare_registry, project, {"pipeline": PIPELINE}, token=people["minter"][1])).json["id"]
    assert await end(by_minter, "other") == (403, FORBIDDEN)
    assert await end(by_minter, "stranger") == (404, NO_PROJECT)
    assert await end(999, "stranger") == (404, NO_PROJECT)
    assert await end(999, "other") == (404, NOT_FOUND)
    assert await end("x", "other") == (400, b'{"error":"token_id is invalid"}')
    assert await end(by_minter, "minter") == (204, b"")
    assert await end(by_minter, "minter") == (404, NOT_FOUND)
    for_user = await mint(bare_registry, project, {"pipeline": PIPELINE, "user_id": people["user"][0].id})
    assert await end(for_user.json["id"], "minter") == (403, FORBIDDEN)
    assert await end(for_user.json["id"], "user") == (204, b"")
    for_stranger = await mint(bare_registry, project, {"pipeline": PIPELINE, "user_id": people["stranger"][0].id})
    assert await end(for_stranger.json["id"], "stranger") == (204, b"")
    again = (await mint(bare_registry, project, {"pipeline": PIPELINE}, token=people["minter"][1])).json["id"]
    assert await end(again, None) == (204, b"")
    other_project = await bare_registry.ask("DELETE", f"/api/v4/projects/{bare_registry.project_id}/job_tokens/{again}")
    personal = await bare_registry.ask("DELETE", f"{url}/1")
    assert (other_project.status, personal.status) == (404, 404)
    assert (await bare_registry.ask("DELETE", "/api/v4/projects/999/job_tokens/1")).body == NO_PROJECT
    told = await bare_registry.rows("SELECT actor, target FROM audit_events WHERE action = 'job_token.revoked'")
    assert told[0] == (f"user:{people['minter'][0].id}", f"job_token:{by_minter}")
    assert len(told) == 4


async def test_an_ended_job_is_refused_from_the_next_request_on(bare_registry: Registry) -> None:
    project_id = bare_registry.project_id
    made = (await mint(bare_registry, project_id, {"pipeline": PIPELINE})).json
    page = f"{bare_registry.pypi_of(project_id)}/simple/"
    assert (await bare_registry.get(page, token=None, Authorization=basic(made["token"]))).status == 200
    await bare_registry.ask("DELETE", f"/api/v4/projects/{project_id}/job_tokens/{made['id']}")
    assert (await bare_registry.get(page, token=None, Authorization=basic(made["token"]))).status == 401


async def test_a_reading_token_lists_jobs_and_lets_none_begin_or_end(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    ada, _ = await bare_registry.add_user("ada")
    await bare_registry.add_member(project, ada, MAINTAINER)
    await bare_registry.add_token(ada, "glpat-reader", scopes=("read_api",))
    url = f"/api/v4/projects/{project.id}/job_tokens"
    assert (await bare_registry.get(url, token="glpat-reader")).status == 200
    assert (await mint(bare_registry, project, {"pipeline": PIPELINE}, token="glpat-reader")).status == 403
    assert (await bare_registry.ask("DELETE", f"{url}/1", token="glpat-reader")).status == 403
