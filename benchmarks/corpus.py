"""What all servers serve: wheels that are the same in every run."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.distributions import build_wheel, core_metadata, wheel_file_name, write_large_wheel

SMALL, BIG, LARGE, TREE = "small-page", "big-page", "large-wheel", "tree"
SMALL_VERSIONS, BIG_VERSIONS, TREE_SIZE, LARGE_MEBIBYTES = 4, 500, 50, 200
_FILLER_BYTES = 7 * 1024
"""Makes a wheel one of about 8 KiB, because it does not compress."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the disk."""

    name: str
    version: str
    path: Path

    @property
    def file_name(self) -> str:
        """Return the last part of its path."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Corpus:
    """Wheels in `<directory>/<name>/`; of what is not measured there are none.

    Args:
        tree: the first of them requires all others.
    """

    small: Sequence[Wheel]
    big: Sequence[Wheel]
    tree: Sequence[Wheel]
    large: Sequence[Wheel]

    @property
    def wheels(self) -> list[Wheel]:
        """Return all of them."""
        return [*self.small, *self.big, *self.tree, *self.large]

    @property
    def names(self) -> list[str]:
        """Return the names of the wheels, each once."""
        return list(dict.fromkeys(wheel.name for wheel in self.wheels))


def build_corpus(directory: Path, measurements: Collection[str]) -> Corpus:
    """Write the wheels: pages of 4 and of 500 versions, one of 200 MB, and 50 packages to be installed together.

    Args:
        measurements: the names of what they are for.
    """
    tree = [f"{TREE}-{number:02}" for number in range(TREE_SIZE if "install" in measurements else 0)]
    big = range(BIG_VERSIONS if "big" in measurements else 0)
    return Corpus(
        small=[small_wheel(directory, SMALL, f"1.{number}") for number in range(SMALL_VERSIONS)],
        big=[small_wheel(directory, BIG, f"1.{number}") for number in big],
        tree=[small_wheel(directory, name, "1.0", requires=tree[1:] if name == tree[0] else ()) for name in tree],
        large=[large_wheel(directory, "1.0")] if "large" in measurements else [],
    )


def small_wheel(directory: Path, name: str, version: str, *, requires: Sequence[str] = ()) -> Wheel:
    """Write a wheel of about 8 KiB."""
    path = _place(directory, name, version)
    path.write_bytes(small_wheel_bytes(name, version, requires=requires))
    return Wheel(name, version, path)


def small_wheel_bytes(name: str, version: str, *, requires: Sequence[str] = ()) -> bytes:
    """Return what `small_wheel` writes."""
    filler = random.Random(f"{name} {version}").randbytes(_FILLER_BYTES)  # noqa: S311 - the same each time
    head, _, description = core_metadata(name, version).partition(b"\n\n")
    lines = [head, *(f"Requires-Dist: {other}".encode() for other in requires), b"", description]
    return build_wheel(name, version, extra_files={f"{name}.dat": filler}, metadata=b"\n".join(lines))


def large_wheel(directory: Path, version: str) -> Wheel:
    """Write a wheel of a bit over 200 MiB."""
    path = _place(directory, LARGE, version)
    write_large_wheel(path, LARGE, version, mebibytes=LARGE_MEBIBYTES)
    return Wheel(LARGE, version, path)


def _place(directory: Path, name: str, version: str) -> Path:
    place = directory / name
    place.mkdir(parents=True, exist_ok=True)
    return place / wheel_file_name(name, version)
