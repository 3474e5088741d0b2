"""One package by its id, its versions and its files, with the bodies that clients get."""

from shared.models import PackageFileStatus, PackageStatus
from tests.api.package_answers import AT, NO_PACKAGE, links_of, open_project, packages_of
from tests.api.registry import Registry
from tests.stored_packages import Stored

ERROR, DEPRECATED = PackageStatus.ERROR, PackageStatus.DEPRECATED
INVISIBLE = (PackageStatus.HIDDEN, PackageStatus.PROCESSING, PackageStatus.PENDING_DESTRUCTION)


async def test_a_package_id_that_is_none_is_refused_and_an_unknown_one_not_found(bare_registry: Registry) -> None:
    project, ids = await open_project(
        bare_registry, Stored(), *(Stored(status, status=status) for status in (*INVISIBLE, ERROR))
    )
    other, _ = await open_project(bare_registry, path="other")
    for rest in ("", "/pipelines", "/package_files"):
        for bad in ("x", "1.5", "1x", "%20", "1%202", "+1", "0x1", "pypi"):
            answer = await bare_registry.get(f"{packages_of(project)}/{bad}{rest}", token=None)
            assert (answer.status, answer.json) == (400, {"error": "package_id is invalid"}), bad
        for unknown in ("0", "-1", "999999", "9" * 18, "9" * 40):
            answer = await bare_registry.get(f"{packages_of(project)}/{unknown}{rest}", token=None)
            assert (answer.status, answer.json) == (404, NO_PACKAGE), unknown
        for invisible in ids[1:-1]:
            assert (await bare_registry.get(f"{packages_of(project)}/{invisible}{rest}")).json == NO_PACKAGE
        elsewhere = await bare_registry.get(f"{packages_of(other)}/{ids[0]}{rest}")
        assert (elsewhere.status, elsewhere.json) == (404, NO_PACKAGE)
    failed = f"{packages_of(project)}/{ids[-1]}"
    for rest, status, body in (
        ("", 404, {"message": "Package not found"}),
        ("/pipelines", 404, {"message": "404 Package not found Not Found"}),
        ("/package_files", 200, []),
    ):
        answer = await bare_registry.get(f"{failed}{rest}")
        assert (answer.status, answer.json) == (status, body)
    several = await bare_registry.get(f"{packages_of(project)}/x/package_files?page=y&sort=z")
    problems = "package_id is invalid, page is invalid, sort does not have a valid value"
    assert several.json == {"error": problems}


async def test_a_package_shows_its_other_versions(bare_registry: Registry) -> None:
    project, ids = await open_project(
        bare_registry,
        Stored("demo", "9.0"),
        Stored("demo", "10.0", DEPRECATED),
        Stored("Demo", "1.0", ERROR),
        Stored("demo", "2.0", PackageStatus.HIDDEN),
        Stored("demos", "3.0"),
    )
    detail = (await bare_registry.get(f"{packages_of(project)}/{ids[0]}", token=None)).json
    assert detail["versions"] == [
        {"id": ids[2], "version": "1.0", "created_at": "2026-03-01T12:00:02.123Z", "tags": []},
        {"id": ids[1], "version": "10.0", "created_at": "2026-03-01T12:00:01.123Z", "tags": []},
    ]
    old = (await bare_registry.get(f"{packages_of(project)}/{ids[1]}", token=None)).json
    assert [one["version"] for one in old["versions"]] == ["1.0", "9.0"]
    assert all("versions" not in one for one in (await bare_registry.get(packages_of(project))).json)


async def test_package_files_are_listed(bare_registry: Registry) -> None:
    files = (
        ("c.whl", PackageFileStatus.DEFAULT),
        ("a.whl", PackageFileStatus.DEFAULT),
        *((f"{status}.whl", status) for status in PackageFileStatus if status is not PackageFileStatus.DEFAULT),
        ("b.whl", PackageFileStatus.DEFAULT),
    )
    project, (package_id,) = await open_project(bare_registry, Stored(files=files))
    url = f"{packages_of(project)}/{package_id}/package_files"
    listed = (await bare_registry.get(url, token=None)).json
    first = listed[0]
    assert first == {
        "id": first["id"],
        "package_id": package_id,
        "created_at": AT,
        "file_name": "c.whl",
        "size": 7,
        "file_md5": "d" * 32,
        "file_sha1": "1" * 40,
        "file_sha256": first["file_sha256"],
        "verified_at": None,
    }
    assert len(first["file_sha256"]) == 64
    for query, expected in (
        ("", "cab"),
        ("?order_by=id&sort=desc", "bac"),
        ("?order_by=created_at", "bac"),
        ("?order_by=created_at&sort=desc", "cab"),
        ("?order_by=file_name", "abc"),
        ("?order_by=file_name&sort=desc", "cba"),
        ("?per_page=2&page=2", "b"),
        ("?page=9", ""),
    ):
        answer = await bare_registry.get(f"{url}{query}", token=None)
        assert [one["file_name"] for one in answer.json] == [f"{letter}.whl" for letter in expected]
        assert answer.headers["x-total"] == "3"
    answer = await bare_registry.get(f"{url}?per_page=1", token=None)
    assert links_of(answer)["next"] == (
        f"{bare_registry.url}{url}",
        {
            "id": str(project.id),
            "order_by": "id",
            "package_id": str(package_id),
            "page": "2",
            "per_page": "1",
            "sort": "asc",
        },
    )
