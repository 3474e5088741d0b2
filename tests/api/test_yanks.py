"""Yanked packages and files: who may yank, what is told of it where, and that it ends as it began."""

import asyncio
import json
from typing import Any

import pytest

from services.api.schemas.out import instant
from shared.models import PackageFile
from tests.api.published import CONTENT, audited, package_of, publish
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.conformance.reader import HtmlPage

NO_CONTENT = (204, b"")
WHEEL_NAME = "pkg-1.0-py3-none-any.whl"


def package_url(file: PackageFile) -> str:
    return f"/api/v4/projects/{file.project_id}/packages/{file.package_id}"


def file_url(file: PackageFile) -> str:
    return f"{package_url(file)}/package_files/{file.id}"


async def put(registry: Registry, url: str, body: object = None, *, token: str | None = ROOT_TOKEN) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content_Type": "application/json"}
    return await registry.ask("PUT", f"{url}/yank", token=token, data=data, **headers)


async def delete(registry: Registry, url: str) -> tuple[int, bytes]:
    answer = await registry.ask("DELETE", f"{url}/yank")
    return answer.status, answer.body


async def shown(registry: Registry, name: str = "pkg") -> dict[str, bool | str]:
    """Return what the page of the name says of each file; HTML and JSON say the same."""
    in_json = {file["filename"]: file["yanked"] for file in (await registry.page(name))["files"]}
    page = HtmlPage()
    page.feed((await registry.get(f"{registry.pypi}/simple/{name}/")).body.decode())
    in_html = {anchor.text: anchor.attributes.get("data-yanked") for anchor in page.anchors}
    assert in_html == {name: {True: "", False: None}.get(told, told) for name, told in in_json.items()}
    return in_json


async def is_there(registry: Registry, name: str = "pkg") -> bool:
    return (await registry.get(f"{registry.pypi}/simple/{name}/")).status == 200


async def yanked_at(registry: Registry, file: PackageFile) -> str:
    """Return since when the package of the file is yanked."""
    package = await package_of(registry, file)
    assert package is not None
    assert package.yanked_at is not None
    return instant(package.yanked_at)


async def test_a_yanked_package_is_told_of_with_all_its_files_until_that_is_taken_back(bare_registry: Registry) -> None:
    wheel = await publish(bare_registry, file_name=WHEEL_NAME)
    other = await publish(bare_registry, version="2.0", file_name="pkg-2.0.tar.gz")
    here = package_url(wheel)
    before = (await bare_registry.get(here)).json

    answer = await put(bare_registry, here, {"reason": 'it <breaks> & "burns"'})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    at = await yanked_at(bare_registry, wheel)
    yank = {"yanked": True, "yanked_reason": 'it <breaks> & "burns"', "yanked_at": at}
    assert answer.json == {
        "id": wheel.package_id,
        "name": "pkg",
        "version": "1.0",
        "package_type": "pypi",
        "status": "default",
        "created_at": before["created_at"],
        "last_downloaded_at": None,
        "tags": [],
        "_links": {
            "web_path": f"/root/packages/-/packages/{wheel.package_id}",
            "delete_api_path": f"{bare_registry.url}{here}",
        },
        **yank,
    }
    later = await publish(bare_registry, file_name="pkg-1.0.tar.gz")
    assert later.package_id == wheel.package_id
    reason = yank["yanked_reason"]
    assert await shown(bare_registry) == {WHEEL_NAME: reason, "pkg-1.0.tar.gz": reason, "pkg-2.0.tar.gz": False}
    assert (await bare_registry.get(here)).json == {**before, **yank, "versions": before["versions"]}
    listed = (await bare_registry.get(f"/api/v4/projects/{wheel.project_id}/packages")).json
    assert [package.get("yanked") for package in listed] == [True, None]
    files = (await bare_registry.get(f"{here}/package_files")).json
    assert [{key: file[key] for key in yank} for file in files] == [yank, yank]
    assert "yanked" not in (await bare_registry.get(f"{package_url(other)}/package_files")).json[0]

    assert [await delete(bare_registry, here) for _ in range(2)] == [NO_CONTENT] * 2

    assert await shown(bare_registry) == dict.fromkeys((WHEEL_NAME, "pkg-1.0.tar.gz", "pkg-2.0.tar.gz"), False)
    assert (await bare_registry.get(here)).json == before
    target = f"package:{wheel.package_id}"
    told = {"name": "pkg", "version": "1.0"}
    assert await audited(bare_registry, "package.yanked", "package.unyanked") == [
        ("package.yanked", "user:1", target, bare_registry.project_id, {**told, "reason": reason}),
        ("package.unyanked", "user:1", target, bare_registry.project_id, told),
    ]


async def test_who_has_chosen_a_yanked_file_still_gets_it(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    assert (await put(bare_registry, package_url(file))).status == 200
    for url in (f"{bare_registry.pypi}/files/{file.sha256}/{file.file_name}", f"{file_url(file)}/download"):
        answer = await bare_registry.get(url)
        assert (answer.status, answer.body) == (200, CONTENT)


async def test_one_file_is_yanked_by_itself_and_stays_so_without_its_package(bare_registry: Registry) -> None:
    wheel = await publish(bare_registry, file_name=WHEEL_NAME)
    sdist = await publish(bare_registry)
    package, before = package_url(wheel), (await bare_registry.get(f"{package_url(wheel)}/package_files")).json

    async with bare_registry.backends.store.reading() as rows:
        judged = await rows.packages.file(wheel.id)
    assert judged is not None
    assert judged.verified_at is not None

    answer = await put(bare_registry, file_url(wheel), {"reason": "wrong platform"})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    at = answer.json["yanked_at"]
    yank = {"yanked": True, "yanked_reason": "wrong platform", "yanked_at": at}
    assert answer.json == {
        "id": wheel.id,
        "package_id": wheel.package_id,
        "created_at": instant(wheel.created_at),
        "file_name": WHEEL_NAME,
        "size": wheel.size_bytes,
        "file_md5": before[0]["file_md5"],
        "file_sha1": before[0]["file_sha1"],
        "file_sha256": wheel.sha256,
        "verified_at": instant(judged.verified_at),
        **yank,
    }
    assert await shown(bare_registry) == {WHEEL_NAME: "wrong platform", sdist.file_name: False}
    assert (await bare_registry.get(f"{package}/package_files")).json == [{**before[0], **yank}, before[1]]
    assert "yanked" not in (await bare_registry.get(package)).json

    assert (await put(bare_registry, package, {"reason": "all of it"})).status == 200
    assert await shown(bare_registry) == {WHEEL_NAME: "wrong platform", sdist.file_name: "all of it"}
    # Yanked with its package, the other file gets a mark of its own: since when counts from the first of the two.
    own = await put(bare_registry, file_url(sdist))
    assert {key: own.json[key] for key in ("yanked", "yanked_reason")} == {"yanked": True, "yanked_reason": "all of it"}
    assert [await delete(bare_registry, package) for _ in range(2)] == [NO_CONTENT] * 2
    assert await shown(bare_registry) == {WHEEL_NAME: "wrong platform", sdist.file_name: True}
    for file in (wheel, sdist):
        assert [await delete(bare_registry, file_url(file)) for _ in range(2)] == [NO_CONTENT] * 2
    assert await shown(bare_registry) == {WHEEL_NAME: False, sdist.file_name: False}
    assert (await bare_registry.get(f"{package}/package_files")).json == before
    told = {"file_name": WHEEL_NAME, "sha256": wheel.sha256}
    assert (await audited(bare_registry, "package_file.yanked", "package_file.unyanked"))[0] == (
        "package_file.yanked",
        "user:1",
        f"package_file:{wheel.id}",
        bare_registry.project_id,
        {**told, "reason": "wrong platform"},
    )
    ends = [event for event in await audited(bare_registry, "package_file.unyanked") if event[4] == told]
    assert [event[:4] for event in ends] == [
        ("package_file.unyanked", "user:1", f"package_file:{wheel.id}", bare_registry.project_id)
    ]


@pytest.mark.parametrize("of", ["package", "file"])
async def test_a_second_yank_gives_another_reason_and_the_same_one_changes_nothing(
    bare_registry: Registry, of: str
) -> None:
    file = await publish(bare_registry)
    url, action = (package_url(file), "package.yanked") if of == "package" else (file_url(file), "package_file.yanked")
    told: list[Any] = []
    page = f"{bare_registry.pypi}/simple/pkg/"
    tag = (await bare_registry.get(page)).headers["etag"]
    bodies: list[dict[str, Any] | None] = [
        {"reason": "first"},
        {"reason": "first"},
        {"reason": "second"},
        None,
        {"reason": " \u3000"},
        {},
        {"reason": None},
        {"reason": ""},
    ]
    for body in bodies:
        answer = await put(bare_registry, url, body)
        before, tag = tag, (await bare_registry.get(page)).headers["etag"]
        told.append((answer.status, answer.json["yanked_reason"], tag != before))
    assert told == [
        (200, "first", True),
        (200, "first", False),
        (200, "second", True),
        (200, None, True),
        *[(200, None, False)] * 4,
    ]
    assert await shown(bare_registry) == {file.file_name: True}
    assert [event[4]["reason"] for event in await audited(bare_registry, action)] == ["first", "second", None]


async def test_whoever_has_not_seen_a_yank_does_not_delete_what_was_yanked(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    package = await package_of(bare_registry, file)
    assert package is not None
    for url, seen_at in ((file_url(file), file.created_at), (package_url(file), package.updated_at)):
        assert (await put(bare_registry, url)).status == 200
        answer = await bare_registry.ask("DELETE", url, If_Unmodified_Since=instant(seen_at))
        assert (answer.status, answer.body) == (412, b'{"message":"412 Precondition Failed"}')


async def test_a_form_and_a_query_do_as_well(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    url = f"/api/v4/projects/root%2Fpackages/packages/{file.package_id}/yank/"
    answer = await bare_registry.ask("PUT", url, data={"reason": "a form"})
    assert (answer.status, answer.json["yanked_reason"]) == (200, "a form")
    answer = await bare_registry.ask("PUT", f"{url}?reason=a%20query")
    assert (answer.status, answer.json["yanked_reason"]) == (200, "a query")
    by_file = await bare_registry.ask("PUT", f"{file_url(file)}/yank/", data={"reason": "its own"})
    assert (by_file.status, by_file.json["yanked_reason"]) == (200, "its own")
    assert await shown(bare_registry) == {file.file_name: "its own"}


async def test_a_reason_that_is_no_line_of_text_is_refused(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    invalid, long = "reason is invalid", "reason is too long (maximum is 1000 characters)"
    refused: dict[str, tuple[object, str]] = {
        "too long": ("x" * 1001, long),
        "blank and too long": (" " * 1001, long),
        "number": (1, invalid),
        "list": (["a"], invalid),
        "object": ({}, invalid),
        **{repr(one): (f"a{one}b", invalid) for one in "\0\t\n\r\x1b\x7f\x85\x9b\u2028\u2029\ud800"},
    }
    for url in (package_url(file), file_url(file)):
        answers = {name: await put(bare_registry, url, {"reason": reason}) for name, (reason, _) in refused.items()}
        assert {name: (answer.status, answer.json) for name, answer in answers.items()} == {
            name: (400, {"error": told}) for name, (_, told) in refused.items()
        }
    assert await shown(bare_registry) == {file.file_name: False}
    longest = "\U0001f4a5" * 1000
    assert (await put(bare_registry, package_url(file), {"reason": longest})).json["yanked_reason"] == longest
    assert await shown(bare_registry) == {file.file_name: longest}


async def test_yanks_uploads_and_deletes_at_once_end_in_a_state_that_one_order_explains(
    bare_registry: Registry,
) -> None:
    for number in range(4):
        version = f"{number}.0"
        file = await publish(bare_registry, version=version, file_name=f"pkg-{version}.tar.gz")
        wheel = f"pkg-{version}-py3-none-any.whl"
        async with asyncio.TaskGroup() as group:
            yanks = [
                group.create_task(put(bare_registry, url, {"reason": "broken"}))
                for url in (package_url(file), file_url(file))
            ]
            adding = group.create_task(publish(bare_registry, version=version, file_name=wheel))
            deleting = group.create_task(bare_registry.ask("DELETE", package_url(file)))
        assert deleting.result().status == 204
        assert {task.result().status for task in yanks} <= {200, 404}
        added = await shown(bare_registry) if await is_there(bare_registry) else {}
        if adding.result().package_id == file.package_id:
            assert wheel not in added, "it went with its package"
        else:
            assert added[wheel] is False, "a new package of that version, which nobody has yanked"
