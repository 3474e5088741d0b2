"""Packages as they really are: pure and binary, old and new, large and small, published and installed back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import LarderProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Picked for what is odd about them: dots and capitals in names, size, compiled parts, age, and who built them.
_WHEELS = (
    "requests==2.32.3",
    "urllib3==2.5.0",
    "idna==3.10",
    "certifi==2024.8.30",
    "charset-normalizer==3.4.0",
    "six==1.16.0",
    "attrs==25.3.0",
    "Django==5.1.2",
    "Flask==3.0.3",
    "Werkzeug==3.0.4",
    "Jinja2==3.1.4",
    "MarkupSafe==3.0.1",
    "numpy==2.1.2",
    "cryptography==43.0.1",
    "lxml==5.3.0",
    "PyYAML==6.0.2",
    "SQLAlchemy==2.0.36",
    "zope.interface==7.1.0",
    "ruamel.yaml==0.18.6",
    "backports.tarfile==1.2.0",
    "jaraco.functools==4.1.0",
    "ansible-core==2.17.5",
    "pytz==2024.2",
    "wheel==0.44.0",
    "pip==24.2",
    "setuptools==75.1.0",
    "uvloop==0.21.0",
    "aiohttp==3.10.10",
    "hypothesis==6.115.0",
    "mypy==1.12.0",
)
_SDISTS = (
    "docopt==0.6.2",
    "six==1.11.0",
    "simplejson==3.19.3",
    "future==1.0.0",
    "PyYAML==6.0.1",
    "zope.interface==7.0.3",
    "certifi==2024.8.30",
    "idna==3.7",
)


def _tool(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as their authors published them."""
    directory = tmp_path_factory.mktemp("originals")
    common = ("pip", "download", "--quiet", "--no-deps", "--dest", str(directory))
    # Named one by one, because what the sdists need to be built had better come as wheels.
    as_sdists = ",".join(name.partition("==")[0] for name in _SDISTS)
    for arguments in (("--only-binary", ":all:", *_WHEELS), ("--no-binary", as_sdists, *_SDISTS)):
        done = _tool(*common, *arguments, cwd=directory)
        assert done.returncode == 0, done.stderr
    return directory


def test_real_packages_are_published_and_installed_back_byte_for_byte(
    larder_of_module: LarderProcess, originals: Path, tmp_path: Path
) -> None:
    larder = larder_of_module
    upload_url = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
    files = sorted(originals.iterdir())
    assert len(files) == len(_WHEELS) + len(_SDISTS)

    published = _tool(
        "twine",
        "upload",
        "--disable-progress-bar",
        "--repository-url",
        upload_url,
        *map(str, files),
        cwd=tmp_path,
        TWINE_USERNAME="root",
        TWINE_PASSWORD=larder.token,
    )
    assert published.returncode == 0, published.stdout[-3000:] + published.stderr[-3000:]

    index = f"http://root:{larder.token}@{larder.url.removeprefix('http://')}/api/v4/projects/1/packages/pypi/simple/"
    again, target = tmp_path / "again", tmp_path / "target"
    only_larder = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_NO_CACHE_DIR": "1"}
    only_larder |= {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    fetched = _tool(
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(again),
        *_WHEELS,
        cwd=tmp_path,
        **only_larder,
    )
    assert fetched.returncode == 0, fetched.stderr[-3000:]
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in files if path.suffix == ".whl"
    }
    for requirements, options in ((_WHEELS, ("--only-binary", ":all:")), (("docopt==0.6.2", "six==1.11.0"), ())):
        installed = _tool(
            "pip",
            "install",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(target / str(len(requirements))),
            *options,
            *requirements,
            cwd=tmp_path,
            **only_larder,
        )
        assert installed.returncode == 0, installed.stderr[-3000:]
