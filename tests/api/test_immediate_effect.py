"""What takes access away holds from the very next request on, in every API process: here, two on one database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import aiohttp
import pytest

from shared.models import AccessLevel, Visibility
from shared.settings import Settings
from tests.api.lost_access import (
    CASES,
    EXPIRED,
    FORBIDDEN,
    GONE,
    LET_IN,
    READS,
    UNAUTHORIZED,
    Case,
    arrange,
    rotate,
    what_is_told,
)
from tests.api.registry import SIMPLE_JSON, Registry, running_registry, running_worker
from tests.backends import PostgresqlServer, postgresql_database, postgresql_server

__all__ = ["postgresql_database", "postgresql_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def on_engine(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Give the settings for each engine in turn."""
    if request.param == "sqlite":
        return settings
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = request.getfixturevalue("postgresql_database")
    server.empty_database(name)
    return replace(settings, database_url=server.url(name))


@pytest.fixture
async def processes(on_engine: Settings) -> AsyncIterator[tuple[Registry, Registry]]:
    """Give two applications, each with backends of its own, and a worker."""
    async with running_registry(on_engine) as here, running_registry(on_engine) as there, running_worker(on_engine):
        yield here, there


async def test_what_takes_access_away_holds_from_the_next_request_on_in_every_process(
    processes: tuple[Registry, Registry],
) -> None:
    expected, found = {}, {}
    for number, (name, case) in enumerate(CASES.items()):
        # Each process makes every other change.
        here, there = processes if number % 2 else processes[::-1]
        scene = await arrange(here, there, case, number)
        token = None if case.is_anonymous else scene.token
        for process in (here, there):
            assert await what_is_told(process, scene, token) == dict.fromkeys(READS, LET_IN), name

        await case.takes_away(scene)

        found[name] = [await what_is_told(process, scene, token) for process in (there, here)]
        expected[name] = [dict.fromkeys(READS, case.answer)] * 2
        if case.gives_back is not None:
            await case.gives_back(scene)
            for process in (there, here):
                assert await what_is_told(process, scene, token) == dict.fromkeys(READS, LET_IN), name
    assert found == expected


async def test_a_lower_level_holds_from_the_next_upload_on_in_every_process(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    for level, expected in (
        (AccessLevel.REPORTER, FORBIDDEN),
        (AccessLevel.MAINTAINER, (400, b'{"error":"content is missing"}')),
        (AccessLevel.GUEST, FORBIDDEN),
    ):
        path = f"/projects/{scene.project.id}/members/{scene.user.id}"
        await scene.change("PUT", f"{path}?access_level={int(level)}")
        for process in (there, here):
            answer = await process.upload(None, to=scene.project.id, token=scene.token)
            assert (answer.status, answer.body) == expected


async def test_a_token_is_refused_from_the_instant_on_at_which_it_expires(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    secret = "glpat-a-token-that-ends-soon"

    async def set_end(end: datetime) -> None:
        await here.add_token(scene.user, secret, expires_at=end)

    await scene.pass_the_end(set_end)
    for process in (there, here):
        assert await what_is_told(process, scene, secret) == dict.fromkeys(READS, EXPIRED)


@pytest.mark.parametrize(
    "query", ["visibility=private", "package_registry_access_level=disabled"], ids=["private", "registry-off"]
)
async def test_a_group_shows_nothing_of_a_project_from_the_next_request_on(
    processes: tuple[Registry, Registry], query: str
) -> None:
    here, there = processes
    scene = await arrange(here, there, Case(rotate, GONE, of="", visibility=Visibility.PUBLIC, in_group=True), 0)
    for process in (here, there):
        assert await what_is_told(process, scene, None) == dict.fromkeys(READS, LET_IN)
    await scene.change("PUT", f"/projects/{scene.project.id}?{query}")
    for process in (there, here):
        index = await process.get(f"{scene.root(process)}/simple/", token=None, Accept=SIMPLE_JSON)
        assert index.json["projects"] == []
        assert await what_is_told(process, scene, None) == {
            "simple/": LET_IN,
            "simple/pkg/": (404, b'{"message":"404 Package Not Found"}'),
            READS[2]: (404, b'{"message":"404 Not found"}'),
        }


async def test_a_token_of_no_user_is_known_to_nobody_from_the_next_request_on(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    project, group = f"/projects/{scene.project.id}", f"/groups/{scene.top.id}"
    for tokens, wanted in (
        (f"{project}/deploy_tokens", {"name": "ci", "scopes": ["read_package_registry"]}),
        (f"{group}/deploy_tokens", {"name": "ci", "scopes": ["read_package_registry"]}),
        (f"{project}/job_tokens", {"pipeline": {"id": 1}}),
    ):
        made = await scene.change("POST", tokens, wanted)
        basic = aiohttp.encode_basic_auth("gitlab-ci-token", made.json["token"])
        for is_ended in (False, True):
            if is_ended:
                await scene.change("DELETE", f"{tokens}/{made.json['id']}")
            for process in (there, here):
                for path in READS:
                    answer = await process.get(f"{scene.root(process)}/{path}", token=None, Authorization=basic)
                    told = (answer.status, None if answer.status == 200 else answer.body)
                    assert told == (UNAUTHORIZED if is_ended else LET_IN), (tokens, path)


async def test_a_private_group_is_gone_for_strangers_from_the_next_request_on(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a project becomes private, for strangers"], 0)
    path = f"/api/v4/groups/{scene.top.id}"
    for url in (f"/projects/{scene.project.id}", f"/groups/{scene.team.id}", f"/groups/{scene.top.id}"):
        assert (await there.get(path, token=None)).status == 200
        await scene.change("PUT", f"{url}?visibility=private")
    for process in (there, here):
        for token in (None, scene.token):
            answer = await process.get(path, token=token)
            assert (answer.status, answer.body) == (404, b'{"message":"404 Group Not Found"}')
