"""The client matrix: every tool with every kind of credential, at project and at group level, for every visibility."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import aiohttp
import pytest
from packaging.utils import canonicalize_name

from shared.models import Visibility
from tests.api.registry import sha256
from tests.e2e.client_matrix import (
    MATRIX,
    NAME,
    PRIVATE,
    VISIBILITIES,
    WHEEL,
    WHEEL_NAME,
    Caller,
    Level,
    Stage,
    set_stage,
)
from tests.e2e.clients import INSTALLERS, PUBLISHERS, UPLOADED, Cell, Client, Errand, run_errands
from tests.e2e.processes import LarderProcess
from tests.registry_client import SIMPLE_JSON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BODIES = {
    401: b'{"message":"401 Unauthorized"}',
    403: b'{"message":"403 Forbidden"}',
    404: b'{"message":"404 Not Found"}',
}
PATHS = ("simple/", f"simple/{NAME}/", f"files/{sha256(WHEEL)}/{WHEEL_NAME}")
# The group is there for this job's user, and nothing in it for the job.
EMPTY = {PATHS[0]: (200, None), PATHS[1]: (404, b'{"message":"404 Package Not Found"}')}
EMPTY |= {PATHS[2]: (404, b'{"message":"404 Not found"}')}
IN_EMPTY_GROUP = (Caller.JOB_KEPT_OUT, PRIVATE, Level.GROUP)

PUBLISHING = [Cell(client, who, one) for one in VISIBILITIES for who in Caller for client in PUBLISHERS]
INSTALLING = [
    Cell(client, who, one, level) for level in Level for one in VISIBILITIES for who in Caller for client in INSTALLERS
]
KINDS = (Caller.DEVELOPER, Caller.GROUP_WRITER, Caller.OWN_JOB)
SOME = [Cell(Client.TWINE, who, PRIVATE) for who in KINDS]
SOME += [Cell(client, who, PRIVATE, Level.GROUP) for who in KINDS for client in INSTALLERS]


@pytest.fixture(scope="module")
def stage(larder_of_module: LarderProcess) -> Stage:
    return set_stage(larder_of_module)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def test_every_cell_is_answered_with_its_status(stage: Stage, session: aiohttp.ClientSession) -> None:
    """An empty body stands for the upload: 400 is told to those only who were let in."""
    wrong = {}
    for who, answers in MATRIX.items():
        for number, visibility in enumerate(VISIBILITIES):
            login = stage.login(who, visibility)
            headers = {}
            if login.username:
                headers["Authorization"] = aiohttp.encode_basic_auth(login.username, login.password)
            asked: list[tuple[str, str, int, bytes | None]] = []
            for level, three in ((Level.PROJECT, answers.project), (Level.GROUP, answers.group)):
                for path in PATHS:
                    status = three[number]
                    expected = status, BODIES.get(status)
                    if (who, visibility, level) == IN_EMPTY_GROUP:
                        expected = EMPTY[path]
                    asked.append(("GET", f"{stage.pypi(visibility, level)}/{path}", *expected))
            upload = answers.upload[number]
            asked.append(("POST", stage.pypi(visibility, Level.PROJECT), upload if upload > 201 else 400, None))
            for method, url, status, body in asked:
                async with session.request(method, url, headers=headers, allow_redirects=False) as answer:
                    found = answer.status, await answer.read() if body else None, "WWW-Authenticate" in answer.headers
                if found != (status, body, status == 401):
                    wrong[who, method, url] = found
    assert wrong == {}


async def test_the_tools_come_through_with_each_kind_of_token(
    stage: Stage, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    assert all(cell.is_let_in for cell in SOME)
    await try_cells(stage, session, SOME, tmp_path, major=1)


async def test_every_tool_gets_and_says_what_its_caller_is_told(
    stage: Stage, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await try_cells(stage, session, [*PUBLISHING, *INSTALLING], tmp_path, major=2)


async def try_cells(
    stage: Stage, session: aiohttp.ClientSession, cells: Iterable[Cell], directory: Path, *, major: int
) -> None:
    errands = [Errand(stage, cell, directory / str(number), f"{major}.{number}") for number, cell in enumerate(cells)]
    problems = await run_errands(errands)
    assert not problems, "\n\n".join(f"{cell}: {problem}" for cell, problem in problems.items())
    for visibility in VISIBILITIES:
        published = {
            errand.version
            for errand in errands
            if errand.cell.client in PUBLISHERS and errand.cell.visibility is visibility and errand.cell.is_let_in
        }
        found = await versions(stage, session, visibility)
        assert {version for version in found if version.startswith(f"{major}.")} == published


async def versions(stage: Stage, session: aiohttp.ClientSession, visibility: Visibility) -> set[str]:
    """Return what of the published package is in the project."""
    url = f"{stage.pypi(visibility, Level.PROJECT)}/simple/{canonicalize_name(UPLOADED)}/"
    async with session.get(url, headers={"PRIVATE-TOKEN": stage.token, "Accept": SIMPLE_JSON}) as answer:
        return set() if answer.status == 404 else set((await answer.json(content_type=SIMPLE_JSON))["versions"])
