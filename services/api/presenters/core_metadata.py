"""What pages say about the core metadata that can be fetched beside a file."""

from shared.models import IndexedFile


def advertised_digest(file: IndexedFile) -> str | None:
    """Return the digest of the metadata that installers may take in place of the file's own, or None.

    Of a wheel it is the metadata that will be installed. That of an sdist may say something else than the wheel which
    will be built of it, so it is served to those who ask, and advertised to nobody. Source: PEP 658, PEP 643.
    """
    return file.metadata_sha256 if file.file_name.endswith(".whl") else None
