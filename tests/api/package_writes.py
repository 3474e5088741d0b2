"""The requests that change packages, their files and their names, with what has to be told of each."""

from services.api.routes import NAME_STATUS, PACKAGE, PACKAGE_FILE, PYPI
from tests.api.audited_write import Write

_APP = {"project": "app"}
_DELETED = {**_APP, "package_id": "package to delete"}
_FILE_TO_DELETE = {**_APP, "package_id": "package", "package_file_id": "file to delete"}
_PACKAGE = {**_APP, "package_id": "package"}
_FILE = {**_APP, "package_id": "package", "package_file_id": "file"}
_YANKED = {**_APP, "package_id": "yanked package"}
_YANKED_FILE = {**_APP, "package_id": "package", "package_file_id": "yanked file"}
_SENT = b"the bytes of an upload"
_SENT_SHA256 = "6859ab2cabf13e737d2171054720d841b1286c76a7d9307499160b19ff45b24c"


def _upload(method: str, name: str) -> Write:
    file_name = f"{name}-1.0.tar.gz"
    return Write(
        (method, PYPI),
        _APP,
        form={"name": name, "version": "1.0"},
        file=(file_name, _SENT),
        by="owner",
        status=202,
        action="package_file.uploaded",
        target="package_file:<newest file>",
        project="<app>",
        details={"file_name": file_name, "sha256": _SENT_SHA256, "size_bytes": len(_SENT)},
        refused=("stranger", 404),
    )


PACKAGE_WRITES = [
    _upload("POST", "posted"),
    _upload("PUT", "put"),
    Write(
        ("PUT", PACKAGE),
        _PACKAGE,
        body={"status": "deprecated"},
        by="owner",
        action="package.status_changed",
        target="package:<package>",
        project="<app>",
        details={"name": "kept", "version": "1.0", "from": "default", "to": "deprecated"},
        refused=("member", 403),
        unasked=404,
    ),
    Write(
        ("DELETE", PACKAGE),
        _DELETED,
        by="owner",
        status=204,
        action="package.deleted",
        target="package:<package to delete>",
        project="<app>",
        details={"name": "doomed", "version": "1.0"},
        refused=("stranger", 404),
        unasked=404,
    ),
    Write(
        ("DELETE", PACKAGE_FILE),
        _FILE_TO_DELETE,
        by="owner",
        status=204,
        action="package_file.deleted",
        target="package_file:<file to delete>",
        project="<app>",
        refused=("member", 403),
        unasked=404,
    ),
    Write(
        ("PUT", f"{PACKAGE}/yank"),
        _PACKAGE,
        body={"reason": "broken"},
        by="owner",
        action="package.yanked",
        target="package:<package>",
        project="<app>",
        details={"name": "kept", "version": "1.0", "reason": "broken"},
        refused=("member", 403),
        unasked=404,
    ),
    Write(
        ("DELETE", f"{PACKAGE}/yank"),
        _YANKED,
        by="owner",
        status=204,
        action="package.unyanked",
        target="package:<yanked package>",
        project="<app>",
        details={"name": "yanked", "version": "1.0"},
        refused=("stranger", 404),
        unasked=404,
    ),
    Write(
        ("PUT", f"{PACKAGE_FILE}/yank"),
        _FILE,
        body={"reason": "broken too"},
        by="owner",
        action="package_file.yanked",
        target="package_file:<file>",
        project="<app>",
        refused=("member", 403),
        unasked=404,
    ),
    Write(
        ("DELETE", f"{PACKAGE_FILE}/yank"),
        _YANKED_FILE,
        by="owner",
        status=204,
        action="package_file.unyanked",
        target="package_file:<yanked file>",
        project="<app>",
        refused=("member", 403),
        unasked=404,
    ),
    Write(
        ("PUT", NAME_STATUS),
        {**_APP, "package_name": "name"},
        body={"status": "archived", "reason": "no more"},
        by="owner",
        action="package_name.status_changed",
        target="package_name:kept",
        project="<app>",
        details={"name": "kept", "from": "active", "to": "archived", "reason": "no more"},
        refused=("member", 403),
        unasked=404,
    ),
]
