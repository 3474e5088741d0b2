"""The simple index, the simple pages and the files of a group, byte for byte."""

import re
from dataclasses import dataclass

import pytest

from shared.models import Namespace, PackageFileStatus, Project, Visibility
from tests.api.raw_http import exchange, head
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry, sha256
from tests.api.tenants import add_group, add_project
from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name, wheel_file_name

WHEEL = build_wheel("My.Pkg", "1.0", requires_python=">=3.8")
SDIST = build_sdist("my_pkg", "2.0")
OTHER_WHEEL = build_wheel("My.Pkg", "1.0", requires_python=">=3.9")
WHEEL_NAME, SDIST_NAME = wheel_file_name("My.Pkg", "1.0"), sdist_file_name("my_pkg", "2.0")
METADATA = sha256(core_metadata("My.Pkg", "1.0", requires_python=">=3.8"))
OTHER_METADATA = sha256(core_metadata("My.Pkg", "1.0", requires_python=">=3.9"))
HTML_TYPE = "text/html; charset=utf-8"
JSON_TYPE = f"{SIMPLE_JSON}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Team:
    """The group `top/crew`, called "Crew", with a public project in it and a private one below it."""

    registry: Registry
    group: Namespace
    shown: Project
    hidden: Project

    @property
    def pypi(self) -> str:
        return f"{self.registry.url}/api/v4/groups/{self.group.id}/-/packages/pypi"

    def pypi_of(self, group: int | str) -> str:
        return f"{self.registry.url}/api/v4/groups/{group}/-/packages/pypi"


@pytest.fixture
async def team(registry: Registry) -> Team:
    """A team whose private project has the same wheel, and another one of the same name, and an sdist."""
    top = await add_group(registry, "top", visibility=Visibility.PUBLIC)
    group = await add_group(registry, "crew", parent=top, visibility=Visibility.PUBLIC)
    shown = await add_project(registry, group, "shown", visibility=Visibility.PUBLIC)
    hidden = await add_project(registry, await add_group(registry, "below", parent=group), "hidden")
    for project, content, name, version, file_name in (
        (shown, WHEEL, "My.Pkg", "1.0", WHEEL_NAME),
        (hidden, OTHER_WHEEL, "my-pkg", "1.0", WHEEL_NAME),
        (hidden, SDIST, "my_pkg", "2.0", SDIST_NAME),
    ):
        answer = await registry.upload(content, to=project.id, name=name, version=version, file_name=file_name)
        assert answer.status == 201, answer.body
    return Team(registry=registry, group=group, shown=shown, hidden=hidden)


def html(title: str, *links: str) -> str:
    return (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        f"    <title>Links for {title}</title>\n  </head>\n  <body>\n    <h1>Links for {title}</h1>\n"
        + "".join(f"    {link}<br>\n" for link in links)
        + "  </body>\n</html>\n"
    )


async def test_the_index_has_one_line_a_name_and_leads_to_the_groups_own_pages(team: Team) -> None:
    for group in (team.group.id, "top%2Fcrew", "TOP%2FCrew"):
        for slash in ("", "/"):
            answer = await team.registry.get(f"{team.pypi_of(group)}/simple{slash}")
            assert (answer.status, answer.headers["content-type"]) == (200, HTML_TYPE)
            assert answer.body.decode() == html(
                "Crew", f'<a href="{team.pypi}/simple/my-pkg" data-requires-python="">My.Pkg</a>'
            )
    answer = await team.registry.get(f"{team.pypi}/simple/", Accept=SIMPLE_JSON)
    assert answer.headers["content-type"] == JSON_TYPE
    assert answer.body == b'{"meta":{"api-version":"1.4"},"projects":[{"name":"my-pkg"}]}'


async def test_the_page_lists_the_files_of_all_projects_and_leads_to_the_groups_own_downloads(team: Team) -> None:
    digests = [sha256(content) for content in (WHEEL, OTHER_WHEEL, SDIST)]
    for group in (team.group.id, "top%2Fcrew"):
        for slash in ("", "/"):
            answer = await team.registry.get(f"{team.pypi_of(group)}/simple/my-pkg{slash}")
            assert (answer.status, answer.headers["content-type"]) == (200, HTML_TYPE)
            assert answer.body.decode() == html(
                "My.Pkg",
                f'<a href="{team.pypi}/files/{digests[0]}/{WHEEL_NAME}#sha256={digests[0]}" '
                f'data-requires-python="&gt;=3.8" data-core-metadata="sha256={METADATA}" '
                f'data-dist-info-metadata="sha256={METADATA}">{WHEEL_NAME}</a>',
                f'<a href="{team.pypi}/files/{digests[1]}/{WHEEL_NAME}#sha256={digests[1]}" '
                f'data-requires-python="&gt;=3.9" data-core-metadata="sha256={OTHER_METADATA}" '
                f'data-dist-info-metadata="sha256={OTHER_METADATA}">{WHEEL_NAME}</a>',
                f'<a href="{team.pypi}/files/{digests[2]}/{SDIST_NAME}#sha256={digests[2]}" '
                f'data-requires-python="">{SDIST_NAME}</a>',
            )


async def test_the_page_as_json_says_which_project_a_file_is_from(team: Team) -> None:
    answer = await team.registry.get(f"{team.pypi}/simple/my-pkg/", Accept=SIMPLE_JSON)
    assert answer.headers["content-type"] == JSON_TYPE
    page = answer.json
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", file.pop("upload-time")) for file in page["files"])
    assert page == {
        "meta": {"api-version": "1.4"},
        "name": "my-pkg",
        "versions": ["1.0", "2.0"],
        "files": [
            {
                "filename": WHEEL_NAME,
                "url": f"{team.pypi}/files/{sha256(WHEEL)}/{WHEEL_NAME}",
                "hashes": {"sha256": sha256(WHEEL)},
                "size": len(WHEEL),
                "yanked": False,
                "requires-python": ">=3.8",
                "core-metadata": {"sha256": METADATA},
                "_project_id": team.shown.id,
            },
            {
                "filename": WHEEL_NAME,
                "url": f"{team.pypi}/files/{sha256(OTHER_WHEEL)}/{WHEEL_NAME}",
                "hashes": {"sha256": sha256(OTHER_WHEEL)},
                "size": len(OTHER_WHEEL),
                "yanked": False,
                "requires-python": ">=3.9",
                "core-metadata": {"sha256": OTHER_METADATA},
                "_project_id": team.hidden.id,
            },
            {
                "filename": SDIST_NAME,
                "url": f"{team.pypi}/files/{sha256(SDIST)}/{SDIST_NAME}",
                "hashes": {"sha256": sha256(SDIST)},
                "size": len(SDIST),
                "yanked": False,
                "_project_id": team.hidden.id,
            },
        ],
    }


async def test_a_page_is_nobodys_but_the_callers_and_is_not_sent_again_unchanged(team: Team) -> None:
    for path in ("simple/", "simple/my-pkg/"):
        tags = set()
        for token in (ROOT_TOKEN, None):
            for accept in (SIMPLE_JSON, "text/html"):
                answer = await team.registry.get(f"{team.pypi}/{path}", token=token, Accept=accept)
                assert answer.headers["etag"] == f'"{sha256(answer.body)}"'
                assert answer.headers["cache-control"] == "private, no-cache"
                assert answer.headers["vary"] == "Accept, Accept-Encoding"
                tags.add(answer.headers["etag"])
                again = await team.registry.get(
                    f"{team.pypi}/{path}", token=token, Accept=accept, If_None_Match=answer.headers["etag"]
                )
                assert (again.status, again.body) == (304, b"")
                assert again.headers["cache-control"] == "private, no-cache"
        # In both the one sees a newer file than the other, which the index tells in HTML only.
        assert len(tags) == (3 if path == "simple/" else 4)


async def test_a_head_has_the_head_of_the_get(team: Team) -> None:
    file = f"files/{sha256(WHEEL)}/{WHEEL_NAME}"
    for path in ("simple", "simple/my-pkg/", "simple/My.Pkg", "simple/nobody", file, f"{file}.metadata", f"{file}x"):
        got = await team.registry.get(f"{team.pypi}/{path}")
        asked = await team.registry.ask("HEAD", f"{team.pypi}/{path}")
        assert (asked.status, asked.body) == (got.status, b"")
        for name in got.headers.keys() - {"date", "x-request-id"}:
            assert asked.headers[name] == got.headers[name]


async def test_another_spelling_is_sent_on_to_the_groups_normalized_page(team: Team) -> None:
    for spelling in ("My.Pkg", "MY_PKG", "my--pkg", "my.-_pkg/"):
        answer = await team.registry.get(f"{team.pypi_of('top%2Fcrew')}/simple/{spelling}?x=a%20b&y=%25")
        assert answer.status == 302
        assert answer.headers["location"] == f"{team.pypi}/simple/my-pkg/?x=a%20b&y=%25"
        assert answer.headers["cache-control"] == "private, no-cache"


async def test_what_is_not_there_or_no_file_path_is_told_as_groups_tell_it(team: Team) -> None:
    name, wheel = WHEEL_NAME, sha256(WHEEL)
    for path in (f"files/{wheel}/none.whl", f"files/{'0' * 64}/{name}", f"files/{wheel.upper()}/{name}", "files/x/y"):
        answer = await team.registry.get(f"{team.pypi}/{path}")
        assert (answer.status, answer.body) == (404, b'{"message":"404 Not found"}'), path
    answer = await team.registry.get(f"{team.pypi}/simple/nobody/")
    assert (answer.status, answer.body) == (404, b'{"message":"404 Package Not Found"}')
    assert answer.headers["content-type"] == "application/json"
    root = f"/api/v4/groups/{team.group.id}/-/packages/pypi"
    for path, parameter in ((f"files/{sha256(WHEEL)}", "file_identifier"), ("simple", "package_name")):
        for climb in ("../x", "%2e%2e/x", "/etc/passwd", "a%2F..%2Fb", "a%00b"):
            told = await exchange(team.registry, head("GET", f"{root}/{path}/{climb}"))
            assert told == (400, f'{{"error":"{parameter} should be a valid file path"}}'.encode()), climb


async def test_a_file_comes_whole_or_in_parts(team: Team) -> None:
    for content, file_name in ((WHEEL, WHEEL_NAME), (OTHER_WHEEL, WHEEL_NAME), (SDIST, SDIST_NAME)):
        url = f"{team.pypi}/files/{sha256(content)}/{file_name}"
        answer = await team.registry.get(url)
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["etag"] == f'"{sha256(content)}"'
        assert answer.headers["content-type"] == "application/octet-stream"
        part = await team.registry.get(url, Range="bytes=5-9")
        assert (part.status, part.body) == (206, content[5:10])


async def test_only_a_public_projects_file_in_a_public_group_may_be_kept_by_anybody(team: Team) -> None:
    """What lies in a private group is nobody's else, even should a project in it be public."""
    registry = team.registry
    private = await add_group(registry, "closed")
    odd = await add_project(registry, private, "odd", visibility=Visibility.PUBLIC)
    assert (await registry.upload(WHEEL, to=odd.id, name="My.Pkg", file_name=WHEEL_NAME)).status == 201
    for pypi, content, scope in (
        (team.pypi, WHEEL, "public"),
        (team.pypi, OTHER_WHEEL, "private"),
        (team.pypi_of(private.id), WHEEL, "private"),
    ):
        for suffix in ("", ".metadata"):
            answer = await registry.get(f"{pypi}/files/{sha256(content)}/{WHEEL_NAME}{suffix}")
            assert (answer.status, answer.headers["cache-control"]) == (200, f"{scope}, max-age=31536000, immutable")


async def test_an_equal_file_in_two_projects_is_listed_twice_and_comes_from_the_one_that_may_be_read(
    team: Team,
) -> None:
    registry, digest = team.registry, sha256(WHEEL)
    assert (await registry.upload(WHEEL, to=team.hidden.id, name="My.Pkg", file_name=WHEEL_NAME)).status == 400
    third = await add_project(registry, team.group, "third")
    assert (await registry.upload(WHEEL, to=third.id, name="My.Pkg", file_name=WHEEL_NAME)).status == 201
    for token, projects in ((ROOT_TOKEN, [team.shown.id, third.id]), (None, [team.shown.id])):
        page = (await registry.get(f"{team.pypi}/simple/my-pkg/", token=token, Accept=SIMPLE_JSON)).json
        assert [file["_project_id"] for file in page["files"] if file["hashes"]["sha256"] == digest] == projects
        answer = await registry.get(f"{team.pypi}/files/{digest}/{WHEEL_NAME}", token=token)
        assert (answer.status, answer.body) == (200, WHEEL)


async def test_an_empty_group_has_an_empty_index(bare_registry: Registry) -> None:
    group = await add_group(bare_registry, "team")
    url = f"/api/v4/groups/{group.id}/-/packages/pypi/simple/"
    assert (await bare_registry.get(url)).body.decode() == html("Team")
    answer = await bare_registry.get(url, Accept=SIMPLE_JSON)
    assert answer.body == b'{"meta":{"api-version":"1.4"},"projects":[]}'


async def test_a_deleted_project_leaves_the_group_at_once(team: Team) -> None:
    registry = team.registry
    assert (await registry.ask("DELETE", f"/api/v4/projects/{team.shown.id}")).status == 202
    page = (await registry.get(f"{team.pypi}/simple/my-pkg/", Accept=SIMPLE_JSON)).json
    assert {file["_project_id"] for file in page["files"]} == {team.hidden.id}
    assert (await registry.get(f"{team.pypi}/files/{sha256(WHEEL)}/{WHEEL_NAME}")).status == 404


async def test_a_name_whose_files_are_all_gone_is_a_page_without_links(team: Team) -> None:
    registry = team.registry
    async with registry.backends.store.reading() as rows:
        file = await rows.packages.installable_file(team.shown.id, sha256=sha256(WHEEL), file_name=WHEEL_NAME)
    assert file is not None
    async with registry.backends.store.writing() as writer:
        await writer.packages.lock(file.package_id)
        assert await writer.packages.doom_file(file.id, source=frozenset({PackageFileStatus.DEFAULT}))
    answer = await registry.get(f"{team.pypi}/simple/my-pkg/", token=None)
    assert (answer.status, answer.body.decode()) == (200, html("my-pkg"))
    answer = await registry.get(f"{team.pypi}/simple/my-pkg/", token=None, Accept=SIMPLE_JSON)
    assert answer.body == b'{"meta":{"api-version":"1.4"},"name":"my-pkg","versions":[],"files":[]}'
