"""Where the links of an archive lead once it is unpacked."""

from collections.abc import Collection, Mapping

from shared.distributions.archives import shown
from shared.errors import DistributionRejected

_MAX_STEPS = 1_000
"""A path that takes more steps than this to follow leads in a circle, or might as well."""


def check_links(
    symbolic: Mapping[str, str], hard: Mapping[str, str], *, directories: Collection[str], top: str
) -> None:
    """Refuse links that lead out of the archive's top directory.

    Args:
        symbolic: path -> target, relative to the link's directory.
        hard: path -> target, relative to the archive's root.
        directories: every directory that a member lies in.
        top: the only directory at the root.

    Raises:
        DistributionRejected: a link leads out, or a member would be written through a symbolic link.
    """
    for path in symbolic:
        if path in directories:
            raise DistributionRejected(f"archive has members below a symbolic link: {shown(path)}")
    for path, target in symbolic.items():
        _check(path, f"{path.rpartition('/')[0]}/{target}" if not target.startswith("/") else target, symbolic, top)
    for path, target in hard.items():
        _check(path, target, symbolic, top)


def _check(path: str, target: str, symbolic: Mapping[str, str], top: str) -> None:
    if not _stays_inside(target, symbolic, top):
        raise DistributionRejected(f"archive has a link that leads outside of it: {shown(path)}")


def _stays_inside(target: str, symbolic: Mapping[str, str], top: str) -> bool:
    """Follow a path as a file system would, through other links, and say whether it never leaves the top directory."""
    if target.startswith("/") or "\\" in target:
        return False
    place: list[str] = []
    ahead = target.split("/")[::-1]
    for _ in range(_MAX_STEPS):
        if not ahead:
            return place[:1] == [top]
        step = ahead.pop()
        if step in {"", "."}:
            continue
        if step == "..":
            if len(place) <= 1:
                return False
            place.pop()
            continue
        place.append(step)
        if place[0] != top:
            return False
        onward = symbolic.get("/".join(place))
        if onward is None:
            continue
        if onward.startswith("/"):
            return False
        place.pop()
        ahead.extend(onward.split("/")[::-1])
    return False
