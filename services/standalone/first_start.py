"""What a registry needs before its first request: the administrator's token, and somewhere to publish to."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.standalone.errors import StartFailed
from shared.backends import is_blob_store_there, open_blobs, open_store
from shared.errors import SchemaUnknown
from shared.models import ProjectId
from shared.settings import Settings
from shared.usecases.blob_store_name import holds_blobs
from shared.usecases.bootstrap import Bootstrap

log = structlog.get_logger()

_PREFIX = "glpat-"
_RANDOM_BYTES = 32
_FEWEST_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What a newcomer is told.

    Args:
        project_id: the project to publish to.
        token_file: where the administrator's token is; None: in LARDER_ROOT_TOKEN.
    """

    project_id: ProjectId
    token_file: Path | None


async def prepare_database(settings: Settings) -> FirstStart:
    """Migrate the database, and ensure that what a first request needs is in it.

    Raises:
        SchemaUnknown: the database holds a schema that this version does not know.
        MetadataUnavailable, StartFailed: as `ensure_first_start`.
        StartFailed: the database is empty, and the blob store is not: a new database would know none of its files.
        BlobStoreUnavailable: nobody can tell whether it is.
    """
    other = await _other_schema(settings)
    if other is not None:
        await _migrate(settings, is_empty=other.found is None)
    return await ensure_first_start(settings)


async def _other_schema(settings: Settings) -> SchemaUnknown | None:
    """Return what the database has that is not this version's schema; None when it is up to date."""
    async with open_store(settings) as store:
        try:
            await store.check_schema()
        except SchemaUnknown as unknown:
            return unknown
    return None


async def _has_blobs(settings: Settings) -> bool:
    """Say whether there is any file in the blob store; one that is not there yet is not made."""
    if not await is_blob_store_there(settings):
        return False
    async with open_blobs(settings) as blobs:
        return await holds_blobs(blobs)


async def _migrate(settings: Settings, *, is_empty: bool) -> None:
    if is_empty and await _has_blobs(settings):
        raise StartFailed(
            "the database is empty, but files were published to this registry: put the database back from a backup, "
            "or name another place in LARDER_DATA_DIR to begin anew"
        )
    # Only the first start and those after an upgrade need it; all others are quicker without.
    from shared.whole_databases import migrate_database  # noqa: PLC0415 - as said

    before, after = await migrate_database(settings)
    if before != after:
        log.info("database.migrated", before=before, after=after)


async def ensure_first_start(settings: Settings) -> FirstStart:
    """Decide the administrator's token, and ensure that the database knows it and has a first project.

    Needs a migrated database. Call it while holding the data directory, if the token is to be made here.

    Raises:
        StartFailed: the token's file cannot be read or written, or holds no token.
        MetadataUnavailable: the database does not answer.

    Idempotent: by the settings and the token's file.
    """
    token = settings.root_token or _kept_token(settings.root_token_file)
    async with open_store(settings) as store:
        result = await Bootstrap(store)(token)
    return FirstStart(
        project_id=result.project_id, token_file=None if settings.root_token else settings.root_token_file
    )


def _kept_token(path: Path) -> str:
    """Return the token in this file, which is made when it is missing."""
    try:
        try:
            token = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
            _keep(token, path)
    except OSError as error:
        raise StartFailed(f"the root token's file {path} cannot be used: {error.strerror}") from error
    except UnicodeError as error:
        raise _no_token(path) from error
    if len(token) < _FEWEST_CHARACTERS or not token.isprintable() or " " in token:
        raise _no_token(path)
    return token


def _keep(token: str, path: Path) -> None:
    """Write the file whole or not at all, whenever the machine stops."""
    part = path.with_name(f".{path.name}.part")  # one name, so that the next start overwrites what a crash left
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _no_token(path: Path) -> StartFailed:
    return StartFailed(f"{path} holds no token of {_FEWEST_CHARACTERS} characters or more: remove it to get a new one")
