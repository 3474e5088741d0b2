"""Which installer is tried with what: one table, the command lines of all of them beside each other.

In a command `$INDEX` is the simple index with user and token in it, `$BARE_INDEX` without, and `$USER_INDEX` with the
user alone. `$MOMENT` lies between the uploads of `dated` 1.0 and 2.0, `$DIGEST` is that of the wheel of `steady` 1.0.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.e2e.environments import client_environment, pinned_version
from tests.e2e.shell import OURS

# Below 3.12 runs what Python 3.11 came to the world with, and what is far older. Python 3.12 took away what pip before
# 23.1 cannot do without: distutils, and an importer of pkgutil.
OLD_PIPS = ("20.3.4", "22.3.1", "24.3.1") if sys.version_info < (3, 12) else ("23.1.2", "24.3.1")


@dataclass(frozen=True, slots=True)
class Installer:
    """A tool in one of its versions.

    Args:
        column: the command lines of the table that are for it.
        pins: of its environment; None for what lives in ours.
    """

    column: str
    pins: str | None = None

    @property
    def tools(self) -> Path:
        """Return where its command is."""
        return client_environment(self.pins) / "bin" if self.pins else OURS

    @property
    def version(self) -> str:
        return pinned_version(self.column, self.pins) if self.pins else version("uv")


INSTALLERS = {f"pip {number}": Installer("pip", f"pip-{number}") for number in OLD_PIPS}
INSTALLERS |= {
    "newest pip": Installer("pip", "pip"),
    "uv pip": Installer("uv_pip"),
    "uv": Installer("uv"),
    "poetry": Installer("poetry", "poetry"),
    "pdm": Installer("pdm", "pdm"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What one wants to have, as each installer spells it; None where it has no words for that.

    Args:
        gets: name and version of all that has arrived in the end.
        says: what must be among the output, by column.
        pips: the versions of pip that know the words.
    """

    gets: Mapping[str, str]
    fails: bool = False
    says: Mapping[str, str] = field(default_factory=dict)
    pips: str = ""
    pip: str | None = None
    uv_pip: str | None = None
    uv: str | None = None
    poetry: str | None = None
    pdm: str | None = None

    def command_of(self, installer: Installer) -> str | None:
        """Return what to type, if there is anything."""
        if installer.column == "pip" and not SpecifierSet(self.pips).contains(Version(installer.version)):
            return None
        command: str | None = getattr(self, installer.column)
        return command


INSTALLATIONS = {
    "the newest version": Installation(
        pip="pip install -i $INDEX -t target steady",
        uv_pip="uv pip install -i $INDEX --target target steady",
        uv="uv add --default-index $INDEX steady",
        poetry="poetry add steady",
        pdm="pdm add steady",
        gets={"steady": "2.0"},
    ),
    "a pre-release": Installation(
        pip="pip install -i $INDEX -t target --pre steady",
        uv_pip="uv pip install -i $INDEX --target target --prerelease allow steady",
        uv="uv add --default-index $INDEX --prerelease allow steady",
        poetry="poetry add --allow-prereleases steady",
        pdm="pdm add --prerelease steady",
        gets={"steady": "3.0a1"},
    ),
    "what it needs too": Installation(
        pip="pip install -i $INDEX -t target hungry",
        uv_pip="uv pip install -i $INDEX --target target hungry",
        uv="uv add --default-index $INDEX hungry",
        poetry="poetry add 'hungry>=1'",
        pdm="pdm add hungry",
        gets={"hungry": "1.0", "needed": "1.0"},
    ),
    "an sdist": Installation(
        pip="pip install -i $INDEX -t target sourced",
        uv_pip="uv pip install -i $INDEX --target target sourced",
        uv="uv add --default-index $INDEX sourced",
        poetry="poetry add sourced",
        pdm="pdm add sourced",
        gets={"sourced": "1.0"},
    ),
    "what runs on this Python": Installation(
        pip="pip install -i $INDEX -t target choosy",
        uv_pip="uv pip install -i $INDEX --target target choosy",
        uv="uv add --default-index $INDEX choosy",
        poetry="poetry add 'choosy>=1'",
        pdm="pdm add choosy",
        gets={"choosy": "1.0"},
    ),
    "what is not yanked": Installation(
        pip="pip install -i $INDEX -t target withdrawn",
        uv_pip="uv pip install -i $INDEX --target target withdrawn",
        uv="uv add --default-index $INDEX withdrawn",
        poetry="poetry add withdrawn",
        pdm="pdm add withdrawn",
        gets={"withdrawn": "1.0"},
    ),
    "exactly what is yanked": Installation(
        pip="pip install -i $INDEX -t target withdrawn==2.0",
        uv_pip="uv pip install -i $INDEX --target target withdrawn==2.0",
        uv="uv add --default-index $INDEX withdrawn==2.0",
        poetry="poetry add withdrawn==2.0",
        pdm="pdm add withdrawn==2.0",
        gets={"withdrawn": "2.0"},
        says={"pip": "it hurts", "uv_pip": "it hurts", "uv": "it hurts", "poetry": "it hurts"},
    ),
    "what has a digest": Installation(
        pip="pip install -i $INDEX -t target --require-hashes -r right.txt",
        uv_pip="uv pip install -i $INDEX --target target --require-hashes -r right.txt",
        uv="uv add --default-index $INDEX --no-sync steady==1.0 && grep $DIGEST uv.lock "
        "&& uv sync --default-index $INDEX --frozen",
        poetry="poetry add --lock steady==1.0 && grep $DIGEST poetry.lock && poetry sync",
        pdm="pdm add --no-sync steady==1.0 && grep $DIGEST pdm.lock && pdm sync",
        gets={"steady": "1.0"},
    ),
    "what has another digest": Installation(
        pip="pip install -i $INDEX -t target --require-hashes -r wrong.txt",
        uv_pip="uv pip install -i $INDEX --target target --require-hashes -r wrong.txt",
        uv="uv add --default-index $INDEX --no-sync steady==1.0 && sed -i s/sha256:$DIGEST/sha256:$WRONG/ uv.lock "
        "&& uv sync --default-index $INDEX --frozen",
        poetry="poetry add --lock steady==1.0 && sed -i s/sha256:$DIGEST/sha256:$WRONG/ poetry.lock && poetry sync",
        pdm="pdm add --no-sync steady==1.0 && sed -i s/sha256:$DIGEST/sha256:$WRONG/ pdm.lock && pdm sync",
        gets={},
        fails=True,
        says={
            "pip": "THESE PACKAGES DO NOT MATCH THE HASHES",
            "uv_pip": "Hash mismatch for `steady==1.0`",
            "uv": "Hash mismatch for `steady==1.0`",
            "poetry": "did not match any known checksums in your lock file",
            "pdm": "No candidate is found for `steady` that matches the environment or hashes",
        },
    ),
    "what there was at a moment": Installation(
        pips=">=26.0",
        pip="pip install -i $INDEX -t target --uploaded-prior-to $MOMENT dated",
        uv_pip="uv pip install -i $INDEX --target target --exclude-newer $MOMENT dated",
        uv="uv add --default-index $INDEX --exclude-newer $MOMENT dated",
        pdm="pdm add --no-sync --frozen-lockfile 'dated>=1' && pdm lock --exclude-newer $MOMENT && pdm sync",
        gets={"dated": "1.0"},
    ),
    "nothing younger than a day": Installation(
        pips=">=26.1",
        pip="pip install -i $INDEX -t target --uploaded-prior-to P1D dated",
        uv_pip="uv pip install -i $INDEX --target target --exclude-newer '1 day' dated",
        uv="uv add --default-index $INDEX --exclude-newer '1 day' dated",
        poetry="POETRY_SOLVER_MIN_RELEASE_AGE=1 poetry add dated",
        gets={},
        fails=True,
        says={
            "pip": "No matching distribution found for dated",
            "uv_pip": "exclude-newer",
            "uv": "exclude-newer",
            "poetry": "dated",
        },
    ),
    "the files, downloaded": Installation(
        pip="pip download -i $INDEX -d target hungry",
        gets={"hungry": "1.0", "needed": "1.0"},
    ),
    "a list of versions": Installation(
        pips=">=21.2",
        pip="pip index versions -i $INDEX --pre steady",
        gets={},
        says={"pip": "Available versions: 3.0a1, 2.0, 1.0"},
    ),
    "with a password from netrc": Installation(
        pip="mv netrc .netrc && pip install -i $BARE_INDEX -t target steady",
        uv_pip="mv netrc .netrc && uv pip install -i $BARE_INDEX --target target steady",
        uv="mv netrc .netrc && uv add --default-index $BARE_INDEX steady",
        poetry="mv netrc .netrc && unset POETRY_HTTP_BASIC_LARDER_USERNAME && poetry add steady",
        gets={"steady": "2.0"},
    ),
    "with a password from a keyring in its own environment": Installation(
        pips="<23.1",
        pip="PIP_NO_INPUT=0 pip install -i $USER_INDEX -t target steady",
        poetry="unset POETRY_HTTP_BASIC_LARDER_PASSWORD && poetry add steady",
        gets={"steady": "2.0"},
    ),
    "with a password from the keyring's command": Installation(
        pips=">=23.1",
        pip="pip install --keyring-provider subprocess -i $USER_INDEX -t target steady",
        uv_pip="uv pip install --keyring-provider subprocess -i $USER_INDEX --target target steady",
        uv="uv add --keyring-provider subprocess --default-index $USER_INDEX steady",
        gets={"steady": "2.0"},
    ),
}
