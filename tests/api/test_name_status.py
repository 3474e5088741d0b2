"""What a project says of a package name as a whole: who says it, where it is told, and what follows (PEP 792)."""

import asyncio
import json

import pytest

from shared.models import AccessLevel, PackageStatus, Visibility
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionTerms
from tests.api.published import CONTENT, audited, publish
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Answer, Registry
from tests.distributions import build_wheel, wheel_file_name

pytestmark = pytest.mark.slow

NO_PACKAGE = (404, b'{"message":"404 Package Not Found"}')
NO_FILE = (404, b'{"message":"404 Not Found"}')
CREATED = (201, b'{"message":"201 Created"}')
ARCHIVED = (403, b'{"message":"403 Forbidden - Package is archived."}')
QUARANTINED = (403, b'{"message":"403 Forbidden - Package is quarantined."}')
PROTECTED = (403, b'{"message":"403 Forbidden - Package protected."}')
METADATA = b"Metadata-Version: 2.1\nName: My.Pkg\nVersion: 1.0\n"


def url_of(registry: Registry, name: str, project: int | str | None = None) -> str:
    return f"{registry.pypi_of(registry.project_id if project is None else project)}/names/{name}/status"


async def put(registry: Registry, name: str, body: object, *, token: str | None = ROOT_TOKEN) -> Answer:
    data = json.dumps(body).encode()
    return await registry.ask("PUT", url_of(registry, name), token=token, data=data, Content_Type="application/json")


async def mark(registry: Registry, status: str, reason: str | None = None, *, name: str = "my-pkg") -> None:
    answer = await put(registry, name, {"status": status, "reason": reason})
    assert (answer.status, answer.json) == (200, {"name": name, "status": status, "reason": reason})


async def test_a_name_is_active_until_its_status_is_set_and_every_page_tells_of_it(bare_registry: Registry) -> None:
    file = await publish(bare_registry, name="My.Pkg", file_name="my_pkg-1.0.tar.gz")
    other = await publish(bare_registry, name="other", file_name="other-1.0.tar.gz")
    status = await bare_registry.get(url_of(bare_registry, "my-pkg"))
    assert (status.status, status.headers["content-type"]) == (200, "application/json")
    assert status.body == b'{"name":"my-pkg","status":"active","reason":null}'
    page, other_page = (f"{bare_registry.pypi}/simple/{name}/" for name in ("my-pkg", "other"))
    plain, plain_json = await bare_registry.get(page), await bare_registry.page("my-pkg")
    assert "project-status" not in plain_json
    of_other = (await bare_registry.get(other_page)).body

    answer = await put(bare_registry, "my-pkg", {"status": "archived", "reason": 'use <b> & "c"'})

    expected = {"name": "my-pkg", "status": "archived", "reason": 'use <b> & "c"'}
    assert (answer.status, answer.headers["content-type"], answer.json) == (200, "application/json", expected)
    assert (await bare_registry.get(url_of(bare_registry, "My_Pkg", "root/packages"))).json == expected
    html = await bare_registry.get(page)
    assert html.body.decode() == (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        '    <meta name="pypi:project-status" content="archived">\n'
        '    <meta name="pypi:project-status-reason" content="use &lt;b&gt; &amp; &quot;c&quot;">\n'
        "    <title>Links for My.Pkg</title>\n  </head>\n  <body>\n    <h1>Links for My.Pkg</h1>\n"
        f'    <a href="{bare_registry.pypi}/files/{file.sha256}/my_pkg-1.0.tar.gz#sha256={file.sha256}" '
        'data-requires-python="">my_pkg-1.0.tar.gz</a><br>\n'
        "  </body>\n</html>\n"
    )
    assert html.headers["etag"] != plain.headers["etag"]
    in_json = await bare_registry.get(page, Accept=SIMPLE_JSON)
    told = {"status": "archived", "reason": 'use <b> & "c"'}
    assert in_json.json == {**plain_json, "project-status": told}
    assert list(in_json.json)[:3] == ["meta", "name", "project-status"]
    assert (await bare_registry.get(other_page)).body == of_other
    download = await bare_registry.get(f"{bare_registry.pypi}/files/{other.sha256}/{other.file_name}")
    assert (download.status, download.body) == (200, CONTENT)

    await mark(bare_registry, "deprecated")
    assert (await bare_registry.page("my-pkg"))["project-status"] == {"status": "deprecated"}
    assert b"status-reason" not in (await bare_registry.get(page)).body
    # A reason is told of an active name, too.
    await mark(bare_registry, "active", "it was archived by mistake")
    told = {"status": "active", "reason": "it was archived by mistake"}
    assert (await bare_registry.page("my-pkg"))["project-status"] == told
    await mark(bare_registry, "active")
    assert await bare_registry.page("my-pkg") == plain_json
    assert (await bare_registry.get(page)).body == plain.body


async def test_a_quarantined_name_is_listed_and_nothing_of_it_is_offered(bare_registry: Registry) -> None:
    file = await publish(bare_registry, name="My.Pkg", file_name="my_pkg-1.0-py3-none-any.whl", metadata=METADATA)
    pypi, here = bare_registry.pypi, f"/api/v4/projects/{file.project_id}/packages/{file.package_id}"
    whole = f"{pypi}/files/{file.sha256}/{file.file_name}"
    by_number = f"{here}/package_files/{file.id}/download"
    urls = (whole, f"{whole}.metadata", by_number)
    index, page = (await bare_registry.get(f"{pypi}/simple/")).body, await bare_registry.page("my-pkg")
    assert [(await bare_registry.get(url)).status for url in urls] == [200, 200, 200]

    await mark(bare_registry, "quarantined", "it steals")

    assert (await bare_registry.get(f"{pypi}/simple/")).body == index
    answer = await bare_registry.get(f"{pypi}/simple/my-pkg/", Accept=SIMPLE_JSON)
    assert (answer.status, answer.json) == (
        200,
        {
            "meta": {"api-version": "1.4"},
            "name": "my-pkg",
            "project-status": {"status": "quarantined", "reason": "it steals"},
            "versions": [],
            "files": [],
        },
    )
    html = await bare_registry.get(f"{pypi}/simple/my-pkg/")
    assert html.status == 200
    assert html.body.decode() == (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        '    <meta name="pypi:project-status" content="quarantined">\n'
        '    <meta name="pypi:project-status-reason" content="it steals">\n'
        "    <title>Links for my-pkg</title>\n  </head>\n  <body>\n    <h1>Links for my-pkg</h1>\n"
        "  </body>\n</html>\n"
    )
    missing = await bare_registry.get(f"{pypi}/files/{'0' * 64}/{file.file_name}")
    assert (missing.status, missing.body) == NO_PACKAGE
    for method in ("GET", "HEAD"):
        answers = [await bare_registry.ask(method, url, Range="bytes=0-3") for url in urls]
        bodies = (NO_PACKAGE, NO_PACKAGE, NO_FILE)
        expected = [(status, body if method == "GET" else b"") for status, body in bodies]
        assert [(answer.status, answer.body) for answer in answers] == expected
    person = await bare_registry.get(f"/root/packages/-/packages/{file.package_id}")
    assert "My.Pkg is quarantined: it steals" in person.body.decode()
    assert file.sha256 not in person.body.decode()
    # Whoever looks after it still sees what is there.
    assert [one["id"] for one in (await bare_registry.get(f"{here}/package_files")).json] == [file.id]

    await mark(bare_registry, "active")
    assert await bare_registry.page("my-pkg") == page
    assert [(await bare_registry.get(url)).status for url in urls] == [200, 200, 200]


async def test_no_upload_comes_to_an_archived_or_quarantined_name(registry: Registry) -> None:
    wheel, name = build_wheel("my-pkg", "1.0"), wheel_file_name("my-pkg", "1.0")
    next_wheel, next_name = build_wheel("my-pkg", "2.0"), wheel_file_name("my-pkg", "2.0")

    async def upload(spelling: str = "My.Pkg", **fields: str) -> tuple[int, bytes]:
        told = {"name": spelling, "version": "2.0", **fields}
        answer = await registry.upload(next_wheel, file_name=next_name, **told)
        return answer.status, answer.body

    assert (await registry.upload(wheel, file_name=name, name="my-pkg")).status == 201
    for status, refusal in (("archived", ARCHIVED), ("quarantined", QUARANTINED)):
        await mark(registry, status, "it is done")
        again = await registry.upload(wheel, file_name=name, name="my-pkg")
        assert (again.status, again.body) == refusal, "the very same file, too"
        assert await upload() == await upload("my_pkg") == refusal
        # Parameters are looked at first, the model after the status: as with protection rules.
        assert await upload(version="not a version") == refusal
        assert await upload(sha256_digest="x") == (400, b'{"error":"sha256_digest is invalid"}')
        assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}
    free = await registry.upload(build_wheel("free", "1.0"), name="free", file_name=wheel_file_name("free", "1.0"))
    assert free.status == 201, "other names are as they were"
    for status in ("deprecated", "active"):
        await mark(registry, status)
        assert await upload() == CREATED


async def test_a_protection_rule_is_told_of_before_the_status(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    file = await publish(bare_registry, project.id, name="my-pkg")
    developer, token = await bare_registry.add_user("developer")
    await bare_registry.add_member(project, developer, AccessLevel.DEVELOPER)
    body = {"status": "archived"}
    url = url_of(bare_registry, "my-pkg", project.id)
    assert (await bare_registry.ask("PUT", url, data=body)).status == 200

    async def upload() -> tuple[int, bytes]:
        answer = await bare_registry.upload(b"x", name="my-pkg", version="?", to=project.id, token=token)
        return answer.status, answer.body

    assert await upload() == ARCHIVED
    async with bare_registry.backends.store.writing() as rows:
        pypi, level = ProtectedPackageType.PYPI, ProtectionLevel.MAINTAINER
        terms = ProtectionTerms(
            package_name_pattern="my-*",
            package_type=pypi,
            minimum_access_level_for_push=level,
            minimum_access_level_for_delete=None,
        )
        await rows.protection_rules.add(file.project_id, terms)
    assert await upload() == PROTECTED


async def test_once_the_status_is_set_no_upload_that_is_under_way_adds_a_file(registry: Registry) -> None:
    async def upload(number: int) -> int:
        version = f"{number}.0"
        answer = await registry.upload(
            build_wheel("my-pkg", version),
            name="my-pkg",
            version=version,
            file_name=wheel_file_name("my-pkg", version),
        )
        if answer.status != 201:
            assert (answer.status, answer.body) == ARCHIVED
        return answer.status

    assert await upload(0) == 201
    async with asyncio.TaskGroup() as group:
        early = [group.create_task(upload(number)) for number in range(1, 6)]
        closing = group.create_task(mark(registry, "archived"))
        late = [group.create_task(upload(number)) for number in range(6, 12)]
        await closing
        files = (await registry.traces())["package_files"]
    published = [task.result() for task in (*early, *late)].count(201) + 1
    assert (files, len((await registry.page("my-pkg"))["files"])) == (published, published)
    assert await registry.traces() == {"packages": published, "package_files": published, "blobs": published}


async def test_what_is_said_of_a_name_outlives_its_packages(registry: Registry) -> None:
    file = await publish(registry, name="my-pkg", status=PackageStatus.PENDING_DESTRUCTION)
    await mark(registry, "archived", "it is done")
    answer = await registry.upload(build_wheel("my-pkg", "2.0"), name="my-pkg", version="2.0")
    assert (answer.status, answer.body) == ARCHIVED
    assert (await registry.get(f"{registry.pypi}/simple/my-pkg/")).status == 404
    download = await registry.get(f"{registry.pypi}/files/{file.sha256}/{file.file_name}")
    assert (download.status, download.body) == NO_PACKAGE


async def test_only_names_that_the_project_knows_have_a_status(bare_registry: Registry) -> None:
    elsewhere = await bare_registry.add_project("elsewhere")
    await publish(bare_registry, elsewhere.id, name="my-pkg")
    for name in ("my-pkg", "unknown", "a%20b", "%00", "-", "simple", "a%2Fb"):
        shown = await bare_registry.get(url_of(bare_registry, name))
        changed = await put(bare_registry, name, {"status": "archived"})
        assert (name, shown.status, shown.body) == (name, *NO_PACKAGE)
        assert (name, changed.status, changed.body) == (name, *NO_PACKAGE)
    assert not await audited(bare_registry, "package_name.status_changed")


async def test_a_name_whose_first_file_is_being_looked_at_has_one_already(bare_registry: Registry) -> None:
    await publish(bare_registry, name="my-pkg", is_judged=False)
    await mark(bare_registry, "quarantined")
    assert (await bare_registry.get(f"{bare_registry.pypi}/simple/my-pkg/")).status == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "status is missing"),
        ({"status": None}, "status is missing"),
        ({"reason": "so"}, "status is missing"),
        ({"status": ""}, "status does not have a valid value"),
        ({"status": "Archived"}, "status does not have a valid value"),
        ({"status": 1}, "status does not have a valid value"),
        ({"status": ["archived"]}, "status does not have a valid value"),
        ({"status": "default"}, "status does not have a valid value"),
        ({"status": "archived", "reason": "a\nb"}, "reason is invalid"),
        ({"status": "archived", "reason": 7}, "reason is invalid"),
        ({"status": "archived", "reason": "x" * 1001}, "reason is too long (maximum is 1000 characters)"),
        ({"status": "gone", "reason": "a\0"}, "status does not have a valid value, reason is invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_status_that_is_none_of_the_four_is_refused(
    bare_registry: Registry, body: dict[str, object], told: str
) -> None:
    for name in ("my-pkg", "unknown"):  # parameters before names
        await publish(bare_registry, name="my-pkg", file_name=f"{name}.whl")
        answer = await put(bare_registry, name, body)
        assert (answer.status, answer.json) == (400, {"error": told})
    assert (await bare_registry.get(url_of(bare_registry, "my-pkg"))).json["status"] == "active"


async def test_a_blank_reason_is_none_and_a_form_or_a_query_does_as_well(bare_registry: Registry) -> None:
    await publish(bare_registry, name="my-pkg")
    url = url_of(bare_registry, "my-pkg", "root/packages")
    for reason in ("", " ", "\u3000"):
        assert (await put(bare_registry, "my-pkg", {"status": "archived", "reason": reason})).json["reason"] is None
    form = await bare_registry.ask("PUT", f"{url}/", data={"status": "deprecated", "reason": "a form"})
    assert (form.status, form.json["status"], form.json["reason"]) == (200, "deprecated", "a form")
    query = await bare_registry.ask("PUT", f"{url}?status=active")
    assert (query.status, query.json["status"], query.json["reason"]) == (200, "active", None)


async def test_each_change_is_written_down_once(bare_registry: Registry) -> None:
    await publish(bare_registry, name="my-pkg")
    for status, reason in (("archived", None), ("archived", None), ("archived", "so"), ("active", None)):
        await mark(bare_registry, status, reason)
    told = ("package_name.status_changed", "user:1", "package_name:my-pkg", bare_registry.project_id)
    changes = [("active", "archived", None), ("archived", "archived", "so"), ("archived", "active", None)]
    assert await audited(bare_registry, "package_name.status_changed") == [
        (*told, {"name": "my-pkg", "from": before, "to": after, "reason": reason}) for before, after, reason in changes
    ]


async def test_readers_see_a_status_and_maintainers_set_it(bare_registry: Registry) -> None:
    levels = (AccessLevel.GUEST, AccessLevel.DEVELOPER, AccessLevel.MAINTAINER)
    everybody: dict[str, str | None] = {"anonymous": None, "unknown": "glpat-nobody"}
    users = {}
    for level in levels:
        users[level], everybody[level.name] = await bare_registry.add_user(level.name.lower())
    found = {}
    for visibility in (Visibility.PUBLIC, Visibility.PRIVATE):
        project = await bare_registry.add_project(visibility, visibility=visibility)
        for level, user in users.items():
            await bare_registry.add_member(project, user, level)
        await publish(bare_registry, project.id, name="my-pkg")
        url = url_of(bare_registry, "my-pkg", project.id)
        for who, token in everybody.items():
            shown = await bare_registry.get(url, token=token)
            # Who may not is told so before anything else.
            bad = await bare_registry.ask("PUT", f"{url}?status=x", token=token)
            changed = await bare_registry.ask("PUT", f"{url}?status=active", token=token)
            found[visibility, who] = (shown.status, bad.status, changed.status)
    public, private = Visibility.PUBLIC, Visibility.PRIVATE
    assert found == {
        (public, "anonymous"): (200, 403, 403),
        (public, "unknown"): (401, 401, 401),
        (public, "GUEST"): (200, 403, 403),
        (public, "DEVELOPER"): (200, 403, 403),
        (public, "MAINTAINER"): (200, 400, 200),
        (private, "anonymous"): (404, 404, 404),
        (private, "unknown"): (401, 401, 401),
        (private, "GUEST"): (200, 403, 403),
        (private, "DEVELOPER"): (200, 403, 403),
        (private, "MAINTAINER"): (200, 400, 200),
    }
