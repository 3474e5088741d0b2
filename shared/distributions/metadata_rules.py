"""What the standard demands of core metadata, checked as the public index checks it: by `packaging.metadata`.

Left out is what is that index's own policy, and not the standard's: known classifiers, no local versions, no direct
references, working addresses. Fields that the declared version does not know are passed over, as unknown ones are:
distutils wrote classifiers into version 1.0, hatchling license expressions into 2.1, and uploaders dropped them.

Source: the core metadata specification; warehouse/forklift/legacy.py and forms of warehouse; twine/package.py.
"""

import re
from collections.abc import Callable, Sequence
from typing import cast

from packaging.metadata import Metadata, RawMetadata
from packaging.version import Version

from shared.distributions.archives import shown

_ABSENT = frozenset({"", "UNKNOWN"})
_NEVER_A_STANDARD = (
    "Metadata-Version 2.0 was never a standard; "
    "build the distribution anew with a current tool, or set LARDER_UPLOAD_CHECKS=off"
)
_SINCE = {
    "dynamic": Version("2.2"),
    "license_expression": Version("2.4"),
    "license_files": Version("2.4"),
    "import_names": Version("2.5"),
    "import_namespaces": Version("2.5"),
}
"""What older versions do not know. All other fields that are checked are read by installers, whatever the version."""
_GIVEN = {"metadata_version": "2.5", "name": "name", "version": "1"}
"""What is said in place of what the caller has checked by itself: all fields are known to this version."""
_SINGLE = frozenset({"summary", "description_content_type", "license_expression", "requires_python"})
_CHECKED = (
    "summary",
    "description_content_type",
    "dynamic",
    "import_names",
    "import_namespaces",
    "license_expression",
    "license_files",
    "provides_extra",
    "requires_dist",
    "requires_python",
)
"""What `packaging.metadata` has rules for, but for name and version: the caller has its own."""
MAX_VALUE_CHARACTERS = 2_000
"""Some parsers take longer by the square. The longest requirements in use have a few hundred characters."""
_MAX_CHARACTERS = 256 * 1024
"""Of all that is checked, which takes a few tenths of a second. The largest in use have a quarter of it."""
_SPACES = re.compile(r"[ \t\r\n]+")

_MAX_TOLD = 8
_MAX_TOLD_CHARACTERS = 160
_TOLD_END_CHARACTERS = 60
_UNSHOWABLE = re.compile(r"[^\x20-\x7e]")


def broken_rules(fields: RawMetadata, *, metadata_version: str, has_license_file: Callable[[str], bool]) -> list[str]:
    """Return what is wrong with the fields, one line each.

    Args:
        has_license_file: whether there is in the archive what a License-File of this value names.
    """
    broken = [_NEVER_A_STANDARD] if metadata_version == "2.0" else []
    checked = _checkable(fields, Version(metadata_version))
    for key, values in list(checked.items()):
        if max(map(len, values), default=0) > MAX_VALUE_CHARACTERS:
            del checked[key]
            broken.append(f"{_header(key)!r} has a value of more than {MAX_VALUE_CHARACTERS} characters")
    if sum(len(value) for values in checked.values() for value in values) > _MAX_CHARACTERS:
        return [*broken, f"more than {_MAX_CHARACTERS} characters are there to be checked"]
    for key, values in checked.items():
        broken += _validate(key, values)
    missing = [path for path in dict.fromkeys(checked.get("license_files", ())) if not has_license_file(path)]
    return broken + [f"License-File {shown(path)} is not in the archive" for path in missing]


def listed(problems: Sequence[str]) -> str:
    """Return the problems as one line of bounded length."""
    told = list(problems[:_MAX_TOLD])
    if len(problems) > _MAX_TOLD:
        told.append(f"and {len(problems) - _MAX_TOLD} more")
    return "; ".join(told)


def _checkable(fields: RawMetadata, version: Version) -> dict[str, list[str]]:
    """Return the fields that there are rules for and that say something, each value on one line."""
    checked: dict[str, list[str]] = {}
    for key in _CHECKED:
        value = fields.get(key)
        if value is None or version < _SINCE.get(key, version):
            continue
        values = [_SPACES.sub(" ", str(one)).strip() for one in (value if isinstance(value, list) else [value])]
        if isinstance(value, list) or values[0] not in _ABSENT:
            checked[key] = values
    return checked


def _validate(key: str, values: list[str]) -> list[str]:
    """Return what is wrong with one field."""
    try:
        Metadata.from_raw(cast("RawMetadata", {**_GIVEN, key: values[0] if key in _SINGLE else values}))
    except ExceptionGroup as group:
        return [_told(key, str(error)) for error in group.exceptions]
    except RecursionError:
        return [f"{_header(key)!r} is nested too deeply"]
    return []


def _header(key: str) -> str:
    return key.removesuffix("s").replace("_", "-")


def _told(key: str, problem: str) -> str:
    """Return what is wrong with a field on one line of bounded length; the end of what is cut often names the field."""
    text = _UNSHOWABLE.sub("?", problem)
    if len(text) > _MAX_TOLD_CHARACTERS:
        text = f"{text[: _MAX_TOLD_CHARACTERS - _TOLD_END_CHARACTERS - 3]}...{text[-_TOLD_END_CHARACTERS:]}"
    return text if repr(_header(key)) in text else f"{_header(key)!r}: {text}"
