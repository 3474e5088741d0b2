"""Real distributions for tests: pip installs them offline, and the same call gives the same bytes."""

import base64
import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

_BACKEND = '''"""Builds the wheel of this sdist; needs nothing but Python."""

import base64, hashlib, pathlib, zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {{"{module}.py": pathlib.Path("{module}.py").read_bytes()}}
    files["{dist_info}/METADATA"] = pathlib.Path("PKG-INFO").read_bytes()
    files["{dist_info}/WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{{path}},sha256={{digest}},{{len(content)}}\\n"
    files["{dist_info}/RECORD"] = (record + "{dist_info}/RECORD,,\\n").encode()
    with zipfile.ZipFile(pathlib.Path(wheel_directory, "{wheel}"), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return "{wheel}"
'''

_PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def wheel_file_name(name: str, version: str) -> str:
    return f"{module_name(name)}-{version}-py3-none-any.whl"


def sdist_file_name(name: str, version: str) -> str:
    return f"{module_name(name)}-{version}.tar.gz"


def module_name(name: str) -> str:
    """Return the one module that a distribution of this name installs; its VERSION is the distribution's."""
    return canonicalize_name(name).replace("-", "_")


def core_metadata(
    name: str, version: str, *, requires_python: str | None = None, requires_dist: str | None = None
) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Summary: Made by a test"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    if requires_dist is not None:
        lines.append(f"Requires-Dist: {requires_dist}")
    return "\n".join([*lines, "", "A description.", ""]).encode()


def build_wheel(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    extra_files: Mapping[str, bytes] | None = None,
    metadata: bytes | None = None,
) -> bytes:
    """Return a wheel with one module, and a RECORD that is right.

    Args:
        extra_files: path in the wheel -> content.
        metadata: what METADATA holds instead of what the other arguments say.
    """
    return zip_bytes(
        wheel_files(name, version, requires_python=requires_python, extra_files=extra_files, metadata=metadata)
    )


def wheel_files(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    extra_files: Mapping[str, bytes] | None = None,
    metadata: bytes | None = None,
) -> dict[str, bytes]:
    """Return what `build_wheel` packs: path -> content."""
    dist_info = f"{module_name(name)}-{version}.dist-info"
    files = {
        f"{module_name(name)}.py": f'VERSION = "{version}"\n'.encode(),
        **(extra_files or {}),
        f"{dist_info}/METADATA": metadata or core_metadata(name, version, requires_python=requires_python),
        f"{dist_info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{dist_info}/RECORD"] = f"{record}{dist_info}/RECORD,,\n".encode()
    return files


def write_large_wheel(path: Path, name: str, version: str, *, mebibytes: int) -> None:
    """Write a wheel of a bit over so many MiB: stored and not deflated, of bytes that do not compress."""
    chance = random.Random(f"{name} {version}")
    path.write_bytes(build_wheel(name, version))
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive,
        archive.open(f"{module_name(name)}.bin", "w", force_zip64=True) as member,
    ):
        for _ in range(mebibytes):
            member.write(chance.randbytes(1024 * 1024))


def build_sdist(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    extra_files: Mapping[str, bytes] | None = None,
    metadata: bytes | None = None,
) -> bytes:
    """Return an sdist (.tar.gz) that brings its own build backend, so that building it needs no index.

    Args:
        extra_files: path below the top directory -> content.
        metadata: what PKG-INFO holds instead of what the other arguments say.
    """
    return tar_gz_bytes(
        sdist_files(name, version, requires_python=requires_python, extra_files=extra_files, metadata=metadata)
    )


def sdist_files(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    extra_files: Mapping[str, bytes] | None = None,
    metadata: bytes | None = None,
) -> dict[str, bytes]:
    """Return what `build_sdist` packs: path -> content."""
    top = f"{module_name(name)}-{version}"
    backend = _BACKEND.format(
        module=module_name(name),
        dist_info=f"{module_name(name)}-{version}.dist-info",
        wheel=wheel_file_name(name, version),
    )
    files = {
        "PKG-INFO": metadata or core_metadata(name, version, requires_python=requires_python),
        "pyproject.toml": _PYPROJECT.encode(),
        "backend.py": backend.encode(),
        f"{module_name(name)}.py": f'VERSION = "{version}"\n'.encode(),
        **(extra_files or {}),
    }
    return {f"{top}/{path}": content for path, content in files.items()}


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return a deflated zip archive of these files; a path that ends in a slash is a directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            member = zipfile.ZipInfo(path)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    return buffer.getvalue()


def tar_gz_bytes(files: Mapping[str, bytes], *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a gzip-compressed tar archive of these files, followed by other members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _record_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
