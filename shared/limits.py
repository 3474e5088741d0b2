"""How much one client, one upload or one archive may ask of the registry, as far as an operator may want to move it.

What nobody should move is a constant where it is kept; README's table "Limits" lists both kinds.
"""

from dataclasses import dataclass

_MIB = 1024**2
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is bounded, with the bounds that hold when the operator says nothing.

    Args:
        stall_seconds: how long a client may make no progress while it sends a head or a body, or takes an answer.
        idle_seconds: how long a connection may wait for its next request.
        grace_seconds: how long requests that are under way may take to finish once the process was told to stop.
        max_connections: open connections of one API process.
        max_connections_per_address: those among them that come from one address; None: half of them. Trusted proxies,
            which speak for many, may have them all.
        max_uploads_per_principal: uploads that one user, deploy token or job has under way in one API process.
        project_quota_bytes: what the files of a project may hold together, but for deleted ones; None: no end.
        max_form_bytes: what an upload's form may hold besides the file.
        max_form_parts: parts of an upload's form: uploaders send one for each classifier and requirement.
        max_header_bytes: the target of a request, and each of its header lines.
        max_archive_entries: members of an archive, directories and links included.
        max_archive_bytes: what all members of an archive expand to.
        max_archive_ratio: expanded bytes for each byte of an archive.
        inspection_memory_bytes: address space of the process that opens one archive.
        inspection_seconds: CPU time of that process for the smallest archive; a minute for each GiB comes on top.
        inspections_at_once: such processes at work in one worker.
    """

    stall_seconds: float = 30.0
    idle_seconds: float = 75.0
    grace_seconds: float = 30.0
    max_connections: int = 1000
    max_connections_per_address: int | None = None
    max_uploads_per_principal: int = 64
    project_quota_bytes: int | None = None
    max_form_bytes: int = 8 * _MIB
    max_form_parts: int = 5_000
    max_header_bytes: int = 8 * 1024
    max_archive_entries: int = 100_000
    max_archive_bytes: int = 16 * _GIB
    max_archive_ratio: int = 100
    inspection_memory_bytes: int = 512 * _MIB
    inspection_seconds: int = 10
    inspections_at_once: int = 4
