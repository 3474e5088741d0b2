"""The form that uploaders send: the one of twine."""

import hashlib
import secrets
from collections.abc import Mapping

from benchmarks.corpus import Wheel
from benchmarks.servers.server import Publication


def form_publication(wheel: Wheel, url: str, index: str, headers: Mapping[str, str]) -> Publication:
    """Return how the wheel is posted to this URL."""
    with wheel.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    boundary = secrets.token_hex(16)
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": wheel.name,
        "version": wheel.version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": digest,
    }
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{wheel.file_name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    before, after = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
    length = len(before) + wheel.path.stat().st_size + len(after)
    sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
    return Publication(wheel, "POST", url, {**headers, **sent}, before, after, page=f"{index}{wheel.name}/")
