"""Which publisher is tried with what: one table, the command lines of all of them beside each other.

Each command runs in the directory of a project, with its files in `dist/`. `$REPOSITORY` is where files are posted to,
`$INDEX` the simple index with user and token in it. Everything else a tool is told by variables of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.distributions import build_sdist, build_wheel, module_name, sdist_file_name, wheel_file_name
from tests.e2e.environments import client_environment
from tests.e2e.shell import OURS

# The pins of their environments; None for what lives in ours.
PUBLISHERS = {"twine": None, "uv": None, "poetry": "poetry", "hatch": "hatch", "flit": "flit", "pdm": "pdm"}
_TWINE = "twine upload --non-interactive --disable-progress-bar --repository-url $REPOSITORY"
_UV = "uv publish --no-cache --trusted-publishing never --publish-url $REPOSITORY"


def tools_of(publisher: str) -> Path:
    """Return where its command is."""
    pins = PUBLISHERS[publisher]
    return client_environment(pins) / "bin" if pins else OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What one wants to publish, as each publisher spells it; None where it has no words for that.

    Args:
        content: of the one module: files of other contents have other bytes.
        says: what must be among the output, by publisher.
        refuses: the publishers that must fail.
    """

    content: str = "1"
    says: Mapping[str, str] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    twine: str | None = None
    uv: str | None = None
    poetry: str | None = None
    hatch: str | None = None
    flit: str | None = None
    pdm: str | None = None

    def command_of(self, publisher: str) -> str | None:
        """Return what to type, if there is anything."""
        command: str | None = getattr(self, publisher)
        return command


# In this order, by each publisher with a package of its own.
PUBLICATIONS = {
    "a new release": Publication(
        twine=f"{_TWINE} dist/*",
        uv=_UV,
        poetry="poetry publish --repository larder",
        hatch="hatch publish -n -r $REPOSITORY",
        flit="flit publish",
        pdm="pdm publish --no-build",
    ),
    "the same files again": Publication(
        twine=f"{_TWINE} dist/*",
        uv=_UV,
        poetry="poetry publish --repository larder",
        hatch="hatch publish -n -r $REPOSITORY",
        flit="flit publish",
        pdm="pdm publish --no-build",
    ),
    "the same files again, skipping what is there": Publication(
        uv=f"{_UV} --check-url $INDEX",
        poetry="poetry publish --repository larder --skip-existing",
        pdm="pdm publish --no-build --skip-existing",
        says={"uv": "already exists, skipping"},
    ),
    "other files of the same names": Publication(
        content="2",
        twine=f"{_TWINE} --verbose dist/*",
        uv=_UV,
        poetry="poetry publish --repository larder",
        hatch="hatch publish -n -r $REPOSITORY",
        flit="flit publish",
        pdm="pdm publish --no-build",
        refuses=frozenset(PUBLISHERS),
        says={
            "twine": "File name has already been taken (file already exists)",
            "uv": "File name has already been taken (file already exists)",
            "poetry": "File name has already been taken (file already exists)",
            "hatch": "Client error '400 Bad Request'",
            "flit": "File name has already been taken (file already exists)",
            "pdm": "Client error '400 Bad Request'",
        },
    ),
    "other files of the same names, skipping what is there": Publication(
        content="2",
        twine=f"{_TWINE} --skip-existing dist/*",
        uv=f"{_UV} --check-url $INDEX",
        poetry="poetry publish --repository larder --skip-existing",
        pdm="pdm publish --no-build --skip-existing",
        # twine knows by itself which two registries it lets skip; uv looks closer and finds the difference.
        refuses=frozenset({"twine", "uv"}),
        says={
            "twine": "does not have support for the following features: --skip-existing",
            "uv": "Local file and index file do not match",
            "poetry": "File exists. Skipping",
            "pdm": "appears to already exist",
        },
    ),
    "with a password from a keyring": Publication(
        twine=f"unset TWINE_PASSWORD && {_TWINE} dist/*",
        uv=f"unset UV_PUBLISH_PASSWORD && {_UV} --keyring-provider subprocess",
        hatch="unset HATCH_INDEX_AUTH && hatch publish -n -r $REPOSITORY",
    ),
}


def lay_out(directory: Path, name: str, content: str) -> None:
    """Write a project of which this is the one module, and its distributions."""
    module = f'"""Made by a test."""\nVALUE = {content}\n'
    dist = directory / "dist"
    dist.mkdir(parents=True)
    (directory / f"{module_name(name)}.py").write_text(module, encoding="utf-8")
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\ndescription = "Made by a test"\n',
        encoding="utf-8",
    )
    extra_files = {"more.py": module.encode()}
    (dist / wheel_file_name(name, "1.0")).write_bytes(build_wheel(name, "1.0", extra_files=extra_files))
    (dist / sdist_file_name(name, "1.0")).write_bytes(build_sdist(name, "1.0", extra_files=extra_files))
