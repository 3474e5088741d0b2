"""How jobs are written into Redis: JSON, because with arq's default, pickle, whoever writes to Redis runs code here."""

import json
from typing import Any


def job_serializer(job: dict[str, Any]) -> bytes:
    """Return a job as JSON. What JSON has no form for (an exception that ended a job) becomes its representation."""
    return json.dumps(job, default=repr, separators=(",", ":")).encode()


def job_deserializer(raw: bytes) -> dict[str, Any]:
    """Return the job that was written.

    Raises:
        ValueError: it is not a JSON object.
    """
    job = json.loads(raw)
    if not isinstance(job, dict):
        raise ValueError("a job must be a JSON object")  # noqa: TRY004  # What was read is wrong.
    return job
