"""CI jobs for tests: begun over HTTP, as a CI system would."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from shared.models import Project, ProjectId, User, UserId
from shared.ports.job_token_rows import NewPipeline
from shared.usecases.token_secrets import digest_of
from tests.api.registry import ROOT_TOKEN, Answer, Registry


def basic(password: str, username: str = "gitlab-ci-token") -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def mint(
    registry: Registry, project: Project | ProjectId, body: Any, *, token: str | None = ROOT_TOKEN
) -> Answer:
    """Ask for the token of a job of this project."""
    project_id = project.id if isinstance(project, Project) else project
    return await registry.post_json(f"/api/v4/projects/{project_id}/job_tokens", body, token=token)


async def begin(registry: Registry, project: Project | ProjectId, user: User | None = None, **pipeline: Any) -> str:
    """Return the token of a job that acts as the user, or as the administrator."""
    body = {"pipeline": {"id": 7, **pipeline}, "user_id": user.id if user else None}
    answer = await mint(registry, project, body)
    assert answer.status == 201, answer.body
    secret: str = answer.json["token"]
    return secret


async def begin_expired(registry: Registry, project: Project, user: User | None = None) -> str:
    """Return the token of a job whose time was over when it began: no caller can ask for one."""
    secret = "glcbt-of-a-job-whose-time-is-over"
    async with registry.backends.store.writing() as rows:
        found = user or await rows.tenants.user(UserId(1))
        assert found is not None
        pipeline = await rows.job_tokens.save_pipeline(project, NewPipeline(number=99), user_id=found.id)
        await rows.tokens.add_job(
            pipeline,
            digest=digest_of(secret),
            user_id=found.id,
            expires_at=datetime.now(UTC),
            creator_id=found.id,
        )
    return secret


async def patch_json(registry: Registry, url: str, body: Any, *, token: str | None = ROOT_TOKEN) -> Answer:
    return await registry.ask("PATCH", url, token=token, data=json.dumps(body), Content_Type="application/json")
