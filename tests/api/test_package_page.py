"""The page that `web_path` leads to."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from services.api.schemas.out import instant
from shared.models import AccessLevel, PackageStatus, RegistryAccess, Visibility
from tests.api.published import CONTENT, add_deploy_token, add_job, publish
from tests.api.registry import Answer, Registry
from tests.api.test_access import BASIC, basic

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'text'"
METADATA = f"""Metadata-Version: 2.4
Name: pkg
Version: 1.0
Summary: A summary with <b>markup</b>
License-Expression: MIT
Requires-Python: >=3.9

# A heading

{EVIL}

The end.\x1b[2J
""".encode()
VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Reads a page, and fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: dict[str, str] = {}
        self.pre: list[str] = []
        self._href: str | None = None
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if tag == "a":
            self._href = dict(attrs)["href"]
        if tag == "pre":
            self.pre.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "a" in self.open:
            assert self._href is not None
            self.links[data] = self._href
        if "pre" in self.open:
            self.pre[-1] += data


async def look(registry: Registry, path: str, *, token: str | None = None, **headers: str) -> Answer:
    return await registry.get(path, token=token, **headers)


async def test_the_page_shows_files_versions_install_lines_and_the_description_as_text(
    bare_registry: Registry,
) -> None:
    registry = bare_registry
    wheel = await publish(registry, metadata=METADATA, requires_python=">=3.9", file_name="pkg-1.0-py3-none-any.whl")
    sdist = await publish(registry)
    newer = await publish(registry, version="1.10", file_name="pkg-1.10.tar.gz", status=PackageStatus.DEPRECATED)
    older = await publish(registry, version="1.9", file_name="pkg-1.9.tar.gz")
    for number, status in enumerate((PackageStatus.HIDDEN, PackageStatus.ERROR, PackageStatus.PENDING_DESTRUCTION)):
        await publish(registry, version=f"2.{number}", file_name=f"pkg-2.{number}.tar.gz", status=status)
    detail = (await registry.get(f"/api/v4/projects/1/packages/{wheel.package_id}")).json
    assert detail["_links"]["web_path"] == f"/root/packages/-/packages/{wheel.package_id}"

    answer = await registry.get(detail["_links"]["web_path"])

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    outline = Outline(page)
    assert "<title>pkg 1.0</title>" in page
    assert outline.links == {
        "pkg-1.0-py3-none-any.whl": f"{registry.pypi}/files/{wheel.sha256}/{wheel.file_name}#sha256={wheel.sha256}",
        "pkg-1.0.tar.gz": f"{registry.pypi}/files/{sdist.sha256}/{sdist.file_name}#sha256={sdist.sha256}",
        "1.10": f"{registry.url}/root/packages/-/packages/{newer.package_id}",
        "1.9": f"{registry.url}/root/packages/-/packages/{older.package_id}",
    }
    index = f"'http://__token__:<token>@{registry.url.removeprefix('http://')}/api/v4/projects/1/packages/pypi/simple/'"
    pip, uv, description = outline.pre
    assert pip == f"pip install --index-url {index} pkg==1.0"
    assert uv == f"uv pip install --index-url {index} pkg==1.0"
    assert description == f"# A heading\n\n{EVIL}\n\nThe end.\ufffd[2J\n"
    async with registry.backends.store.reading() as rows:
        judged = await rows.packages.file(wheel.id)
    assert judged is not None
    assert judged.verified_at is not None
    assert f'<time datetime="{instant(judged.verified_at)}">{judged.verified_at:%Y-%m-%d}</time>' in page
    assert "A summary with &lt;b&gt;markup&lt;/b&gt;" in page
    assert "<script" not in page
    assert outline.tags.isdisjoint({"script", "img", "b", "iframe", "form", "input", "object"})
    assert outline.attributes <= {"charset", "name", "content", "lang", "class", "dir", "href", "datetime"}

    links = Outline((await registry.get(outline.links["1.10"])).body.decode()).links
    assert [name for name in links if not name.startswith("pkg")] == ["1.9", "1.0"]
    assert "deprecated" in (await registry.get(outline.links["1.10"])).body.decode()
    fetched = await registry.get(outline.links["pkg-1.0.tar.gz"].partition("#")[0])
    assert fetched.body == CONTENT


async def test_a_browser_may_do_nothing_with_a_page_but_show_it(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    for path, status in ((f"/root/packages/-/packages/{file.package_id}", 200), ("/root/packages/-/packages/99", 404)):
        answer = await bare_registry.get(path)
        assert answer.status == status
        [style] = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert answer.headers["content-security-policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_public_package_is_installed_without_a_token(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("open", visibility=Visibility.PUBLIC)
    file = await publish(bare_registry, project.id)
    answer = await look(bare_registry, f"/team/open/-/packages/{file.package_id}/")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-cache"
    pip, _ = Outline(answer.body.decode()).pre
    assert pip == f"pip install --index-url {bare_registry.pypi_of(project.id)}/simple/ pkg==1.0"


async def test_a_page_is_revalidated_and_has_a_head(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    path = f"/root/packages/-/packages/{file.package_id}"
    got = await bare_registry.get(path)
    asked = await bare_registry.ask("HEAD", path)
    assert (asked.status, asked.body, asked.headers["etag"]) == (200, b"", got.headers["etag"])
    assert got.headers["cache-control"] == "private, no-cache"
    again = await bare_registry.get(path, If_None_Match=got.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    encoded = await bare_registry.get(path, Accept_Encoding="gzip")
    assert encoded.headers["content-encoding"] == "gzip"
    posted = await bare_registry.ask("POST", path)
    assert (posted.status, posted.body) == (405, b'{"error":"405 Not Allowed"}')


def comparable(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    varying = {"date", "x-request-id"}
    return answer.status, answer.body, {name: value for name, value in answer.headers.items() if name not in varying}


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 404),
        ("?sign_in", {}, 401),
        ("?private_token=", {}, 404),
        ("", {"Authorization": basic("glpat-nobody")}, 401),
        ("?sign_in", {"Authorization": basic("glpat-nobody")}, 401),
        ("", {"PRIVATE-TOKEN": "glpat-nobody"}, 401),
        ("", {"Deploy-Token": "gldt-nobody"}, 401),
    ],
    ids=["nobody", "asking", "empty", "basic", "asking-basic", "private", "deploy"],
)
async def test_to_nobody_in_particular_what_is_closed_looks_like_what_is_missing(
    bare_registry: Registry, query: str, headers: dict[str, str], status: int
) -> None:
    private = await bare_registry.add_project("private")
    internal = await bare_registry.add_project("internal", visibility=Visibility.INTERNAL)
    switched_off = await bare_registry.add_project("off", registry_access=RegistryAccess.DISABLED)
    half_open = await bare_registry.add_project("half", registry_access=RegistryAccess.PUBLIC)
    ids = [(await publish(bare_registry, one.id)).package_id for one in (private, internal, switched_off, half_open)]
    paths = ["private", "internal", "off", "half"]
    answers = [
        await look(bare_registry, f"/team/{path}/-/packages/{package_id}{query}", **headers)
        for path, package_id in [*zip(paths, ids, strict=True), ("private", 99), ("none", ids[0]), ("none", "x")]
    ]
    answers.append(await look(bare_registry, f"/none/at/all/-/packages/1{query}", **headers))
    answers.append(await look(bare_registry, f"/{private.id}/-/packages/{ids[0]}{query}", **headers))
    assert {answer.status for answer in answers} == {status}
    assert all(comparable(answer) == comparable(answers[0]) for answer in answers)
    assert answers[0].headers.get("www-authenticate") == (BASIC if status == 401 else None)
    assert (b'<a href="?sign_in">Sign in</a>' in answers[0].body) is (status == 404)


async def test_who_may_look(bare_registry: Registry) -> None:
    registry = bare_registry
    private = await registry.add_project("private")
    public = await registry.add_project("public", visibility=Visibility.PUBLIC)
    off = await registry.add_project("off", visibility=Visibility.PUBLIC, registry_access=RegistryAccess.DISABLED)
    guest, guest_token = await registry.add_user("guest")
    _, stranger_token = await registry.add_user("stranger")
    await registry.add_member(private, guest, AccessLevel.GUEST)
    await registry.add_token(guest, "glpat-reader", scopes=("read_api",))
    await registry.add_token(guest, "glpat-narrow", scopes=("read_user",))
    job, deploy = await add_job(registry, guest, private), await add_deploy_token(registry, private)
    paths = {
        one.path: f"/team/{one.path}/-/packages/{(await publish(registry, one.id)).package_id}"
        for one in (private, public, off)
    }
    expected = {
        ("private", "guest", 200): {"Authorization": basic(guest_token)},
        ("private", "guest by header", 200): {"PRIVATE-TOKEN": guest_token},
        ("private", "guest with read_api", 200): {"Authorization": basic("glpat-reader")},
        ("private", "guest with read_user", 403): {"Authorization": basic("glpat-narrow")},
        ("private", "job", 200): {"Authorization": basic(job, "gitlab-ci-token")},
        ("private", "deploy token", 200): {"Authorization": basic(deploy)},
        ("private", "deploy token by header", 200): {"Deploy-Token": deploy},
        ("private", "stranger", 404): {"Authorization": basic(stranger_token)},
        ("public", "anonymous", 200): {},
        ("public", "wrong password", 200): {"Authorization": basic("wrong")},
        ("public", "stranger", 200): {"Authorization": basic(stranger_token)},
        ("off", "anonymous", 403): {},
        ("off", "guest", 403): {"Authorization": basic(guest_token)},
    }
    found = {}
    for (path, who, _), headers in expected.items():
        answer = await look(registry, paths[path], **headers)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        found[path, who, answer.status] = headers
    assert found == expected
    denied = await look(registry, paths["private"], Authorization=basic(stranger_token))
    assert b"sign_in" not in denied.body, "who is signed in cannot do so again"


async def test_packages_without_a_page_are_not_there(bare_registry: Registry) -> None:
    registry = bare_registry
    elsewhere = await publish(registry, (await registry.add_project("elsewhere")).id)
    without = [
        (await publish(registry, version=str(number), file_name=f"{number}.tar.gz", status=status)).package_id
        for number, status in enumerate(set(PackageStatus) - {PackageStatus.DEFAULT, PackageStatus.DEPRECATED})
    ]
    for package_id in (*without, elsewhere.package_id, 0, 99, "x", "-1", "1e1", "9" * 30, "%C2%B2"):
        answer = await registry.get(f"/root/packages/-/packages/{package_id}")
        assert (answer.status, b"<h1>404 Not Found</h1>" in answer.body) == (404, True), package_id


@pytest.mark.parametrize(
    "path",
    ["/api/v4/groups/team/-/packages/1", "/api/v4/root/packages/-/packages/1", "/-/packages/1", "/root/-/packages"],
)
async def test_other_urls_are_what_they_were(bare_registry: Registry, path: str) -> None:
    answer = await bare_registry.get(path)
    assert (answer.status, answer.body) == (404, b'{"error":"404 Not Found"}')
    assert (await bare_registry.get("/-/liveness")).status == 200


async def test_a_deleted_package_has_no_page_at_once(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    path = f"/root/packages/-/packages/{file.package_id}"
    assert (await bare_registry.get(path)).status == 200
    assert (await bare_registry.ask("DELETE", f"/api/v4/projects/1/packages/{file.package_id}")).status == 204
    assert (await bare_registry.get(path)).status == 404
