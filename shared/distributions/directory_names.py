"""The directory in a distribution that is called like the distribution itself."""

from shared.names import DistributionName, canonical_version, normalize_name


def names_distribution(directory: str, named: DistributionName) -> bool:
    """Say whether a directory "name-version" is that of the distribution, however it spells the two.

    Old tools put dashes into names and versions alike, so every dash may be the one between them.
    """
    parts = directory.split("-")
    return any(
        normalize_name("-".join(parts[:split])) == named.name
        and canonical_version("-".join(parts[split:])) == named.canonical_version
        for split in range(1, len(parts))
    )
