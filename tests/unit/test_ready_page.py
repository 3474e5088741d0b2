"""The page that `larder serve` prints: its commands work as pasted, wherever the token is and whatever is in it."""

import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from services.standalone.banner import ready_page
from services.standalone.first_start import FirstStart
from shared.models import ProjectId
from shared.settings import read_settings

_URL = "http://127.0.0.1:8080"
_TOKEN = "glpat-0123456789abcdefghij"
_UGLY_TOKEN = "p@ss:w/rd%41$HOME`id`\"'\\!#?&=+~*"


def _page(
    token_file: Path | None, *, url: str = _URL, data_dir: str = "/srv/larder", root_token: str | None = None
) -> str:
    environment = {"LARDER_DATA_DIR": data_dir} | ({"LARDER_ROOT_TOKEN": root_token} if root_token else {})
    return ready_page(read_settings(environment), FirstStart(project_id=ProjectId(7), token_file=token_file), url=url)


def _pasted(page: str, program: str, tmp_path: Path, **environment: str) -> list[str]:
    """Paste the page's command into a shell; return what twine's variables and the program's arguments become."""
    (command,) = [line.strip() for line in page.splitlines() if f"{program} " in line and line.startswith("  ")][:1]
    directory = tmp_path / "bin"
    directory.mkdir(exist_ok=True)
    for name in ("twine", "pip", "uv"):
        (directory / name).write_text(
            '#!/bin/sh\nprintf "%s\\n" "$TWINE_USERNAME" "$TWINE_PASSWORD" "$@"\n', encoding="utf-8"
        )
        (directory / name).chmod(0o755)
    (tmp_path / "dist").mkdir(exist_ok=True)
    (tmp_path / "dist" / "a-1.tar.gz").touch()
    shown = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": f"{directory}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    return shown.stdout.splitlines()


@pytest.mark.parametrize("name", ["root-token", "it's", 'with "quotes" and space', "$HOME `id` \\", "umläut"])
def test_pasted_commands_read_the_token_from_any_file(tmp_path: Path, name: str) -> None:
    token_file = tmp_path / name
    token_file.write_text(_TOKEN + "\n", encoding="ascii")
    page = _page(token_file)
    index = f"http://root:{_TOKEN}@127.0.0.1:8080/api/v4/projects/7/packages/pypi/simple/"

    assert _pasted(page, "twine", tmp_path) == [
        "root",
        _TOKEN,
        "upload",
        "--repository-url",
        "http://127.0.0.1:8080/api/v4/projects/7/packages/pypi",
        "dist/a-1.tar.gz",
    ]
    assert _pasted(page, "pip", tmp_path)[2:] == ["install", "--index-url", index, "your-package"]
    assert _pasted(page, "uv", tmp_path)[2:] == ["pip", "install", "--index-url", index, "your-package"]
    assert _TOKEN not in page


@pytest.mark.parametrize("token", [_TOKEN, _UGLY_TOKEN])
def test_pasted_commands_read_the_configured_token_from_its_variable(tmp_path: Path, token: str) -> None:
    page = _page(None, root_token=token)

    assert _pasted(page, "twine", tmp_path, LARDER_ROOT_TOKEN=token)[1] == token
    for program in ("pip", "uv"):
        url = urlsplit(_pasted(page, program, tmp_path, LARDER_ROOT_TOKEN=token)[-2])
        assert unquote(url.password or "") == token
        assert (url.hostname, url.port) == ("127.0.0.1", 8080)
    assert token not in page


def test_the_page_tells_where_everything_is() -> None:
    page = _page(Path("/srv/larder/root-token"))

    assert "Larder is ready: http://127.0.0.1:8080\n" in page
    assert "  Simple index    http://127.0.0.1:8080/api/v4/projects/7/packages/pypi/simple/\n" in page
    assert "  Administrator   root, whose token is in /srv/larder/root-token\n" in page
    assert "  Data directory  /srv/larder\n" in page


@pytest.mark.parametrize(
    ("url", "trust"),
    [
        ("http://127.0.0.1:8080", []),
        ("http://127.9.9.9:8080", []),
        ("http://[::1]:8080", []),
        ("http://localhost:8080", []),
        ("https://pypi.example", []),
        ("http://192.168.1.5:8080", ["--trusted-host", "192.168.1.5:8080"]),
        ("http://pypi.example/registry", ["--trusted-host", "pypi.example"]),
    ],
)
def test_pip_is_told_to_trust_an_index_that_it_would_ignore_without_tls(
    tmp_path: Path, url: str, trust: list[str]
) -> None:
    token_file = tmp_path / "root-token"
    token_file.write_text(_TOKEN + "\n", encoding="ascii")
    index = url.replace("://", f"://root:{_TOKEN}@") + "/api/v4/projects/7/packages/pypi/simple/"

    pasted = _pasted(_page(token_file, url=url), "pip", tmp_path)

    assert pasted[2:] == ["install", *trust, "--index-url", index, "your-package"]
