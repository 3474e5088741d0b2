"""Who brings wrong secrets again and again is not asked for any more for a while; nobody else notices."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from redis.asyncio import Redis

from shared.models import Visibility
from shared.principals import READ_PACKAGES
from shared.usecases.token_secrets import digest_of
from tests.api.raw_http import FORM_TYPE, connected, head, upload_target
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.api.test_access import basic
from tests.redis_server import RedisServer
from tests.waiting import eventually

LIMIT = 3
TOO_MANY = b'{"message":"429 Too Many Requests"}'
PUBLIC_INDEX = "/api/v4/projects/team%2Fopen/packages/pypi/simple"
PRIVATE_INDEX = "/api/v4/projects/team%2Fclosed/packages/pypi/simple"
NO_INDEX = "/api/v4/projects/99/packages/pypi/simple"
UPLOAD = "/api/v4/projects/team%2Fopen/packages/pypi"
USER = "/api/v4/user"
OWN_TOKEN = "/api/v4/personal_access_tokens/self"
PROJECTS = "/api/v4/projects"
WRONG = "glpat-wrong"
DEPLOY = "gldt-of-the-tests"
EXPIRED, REVOKED, NARROW, BLOCKED = (f"glpat-of-the-tests-{word}" for word in ("old", "gone", "narrow", "blocked"))


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and how it is answered as long as its client is not blocked."""

    name: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"


def _private(token: str) -> dict[str, str]:
    return {"PRIVATE-TOKEN": token}


def _authorization(value: str) -> dict[str, str]:
    return {"Authorization": value}


FAILURES = (
    Case("a wrong personal token", USER, 401, _private(WRONG)),
    Case("a wrong personal token in the query", f"{USER}?private_token={WRONG}", 401),
    Case("a wrong bearer", USER, 401, _authorization(f"Bearer {WRONG}")),
    Case("a wrong bearer in the query", f"{USER}?access_token={WRONG}", 401),
    Case("a wrong token where none is needed", PROJECTS, 401, _private(WRONG)),
    Case("an expired token", USER, 401, _private(EXPIRED)),
    Case("a revoked token", USER, 401, _private(REVOKED)),
    Case("an expired password", PUBLIC_INDEX, 401, _authorization(basic(EXPIRED))),
    Case("a wrong password", PRIVATE_INDEX, 401, _authorization(basic(WRONG))),
    Case("a wrong password where none is needed", PUBLIC_INDEX, 200, _authorization(basic(WRONG))),
    Case("a wrong password of a job", PUBLIC_INDEX, 401, _authorization(basic(WRONG, "gitlab-ci-token"))),
    Case("a wrong bearer of an installer", PUBLIC_INDEX, 401, _authorization(f"Bearer {WRONG}")),
    Case("a wrong deploy token", PRIVATE_INDEX, 401, {"Deploy-Token": WRONG}),
    Case("a wrong deploy token where none is needed", PUBLIC_INDEX, 200, {"Deploy-Token": WRONG}),
    Case("a wrong deploy token where a token tells of itself", OWN_TOKEN, 401, {"Deploy-Token": WRONG}),
    Case("a wrong job token where a token tells of itself", OWN_TOKEN, 401, {"JOB-TOKEN": WRONG}),
    Case("an upload with a wrong password", UPLOAD, 401, _authorization(basic(WRONG)), method="POST"),
    Case("an upload with an expired token", UPLOAD, 401, _private(EXPIRED), method="POST"),
)
NO_FAILURES = (
    Case("a good token", USER, 200, _private(ROOT_TOKEN)),
    Case("a good password", PRIVATE_INDEX, 200, _authorization(basic(ROOT_TOKEN))),
    Case("a good deploy token", PRIVATE_INDEX, 200, {"Deploy-Token": DEPLOY}),
    Case("a good deploy token where only users are", OWN_TOKEN, 400, {"Deploy-Token": DEPLOY}),
    Case("a token without the scope", USER, 403, _private(NARROW)),
    Case("a token of a user who is blocked", USER, 403, _private(BLOCKED)),
    Case("a wrong token for a project that is not there", NO_INDEX, 404, _private(WRONG)),
)
NO_SECRETS = (
    Case("nobody in particular", PUBLIC_INDEX, 200),
    Case("nobody where somebody must be", PRIVATE_INDEX, 401),
    Case("nobody where a user must be", USER, 401),
    Case("an upload of nobody", UPLOAD, 401, method="POST"),
    Case("a wrong token for a URL that is not there", "/api/v4/nothing", 404, _private(WRONG)),
    Case("a wrong token where nobody is asked for one", "/-/liveness", 200, _private(WRONG)),
    Case("a wrong password that this door ignores", USER, 401, _authorization(basic(WRONG))),
    Case("a wrong deploy token that this door ignores", USER, 401, {"Deploy-Token": WRONG}),
    Case("a job's token where personal ones stand", PUBLIC_INDEX, 200, _private("glcbt-wrong")),
    Case("a wrong job token that this door ignores", PRIVATE_INDEX, 401, {"JOB-TOKEN": WRONG}),
    Case("a wrong job token in the query that this door ignores", f"{PUBLIC_INDEX}?job_token={WRONG}", 200),
    Case("no password", PRIVATE_INDEX, 401, _authorization(basic(""))),
    Case("what is no password", PRIVATE_INDEX, 401, _authorization("Basic garbage!")),
    Case("what is no scheme", PRIVATE_INDEX, 401, _authorization("Digest garbage")),
)


async def ask(registry: Registry, case: Case, *, client: str = "192.0.2.1") -> Answer:
    """Send the request as the proxy passes it on from the client."""
    return await registry.ask(
        case.method,
        case.path,
        token=None,
        data=b"" if case.method == "POST" else None,
        X_Forwarded_For=client,
        **case.headers,
    )


async def fail(registry: Registry, *, client: str = "192.0.2.1", times: int = LIMIT) -> list[int]:
    return [(await ask(registry, FAILURES[0], client=client)).status for _ in range(times)]


async def furnish(registry: Registry) -> None:
    """Add what the cases speak of."""
    await registry.add_project("open", visibility=Visibility.PUBLIC)
    closed = await registry.add_project("closed")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    user, _ = await registry.add_user("someone")
    await registry.add_token(user, EXPIRED, expires_at=yesterday)
    await registry.add_token(user, REVOKED, revoked_at=yesterday)
    await registry.add_token(user, NARROW, scopes=("read_repository",))
    async with registry.backends.store.writing() as rows:
        await rows.tokens.add_deploy(
            closed,
            digest=digest_of(DEPLOY),
            name="installers",
            username=None,
            scopes=(READ_PACKAGES,),
            expires_at=None,
            creator_id=user.id,
        )
    blocked, _ = await registry.add_user("blocked")
    await registry.add_token(blocked, BLOCKED)
    assert (await registry.ask("POST", f"/api/v4/users/{blocked.id}/block")).status == 201


def check_refusal(answer: Answer) -> None:
    assert (answer.status, answer.body) == (429, TOO_MANY)
    assert 20 < int(answer.headers["retry-after"]) <= 60
    assert "www-authenticate" not in answer.headers


class TestBehindAProxy:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_AUTH_FAILURES_PER_MINUTE": str(LIMIT), "LARDER_TRUSTED_PROXIES": "127.0.0.1"}

    async def test_wrong_secrets_count_and_nothing_else_does(self, bare_registry: Registry) -> None:
        await furnish(bare_registry)
        seen, expected = {}, {}
        for number, case in enumerate(FAILURES + NO_FAILURES + NO_SECRETS):
            answers = [await ask(bare_registry, case, client=f"192.0.2.{number}") for _ in range(LIMIT + 1)]
            seen[case.name] = [answer.status for answer in answers]
            expected[case.name] = [case.status] * LIMIT + [429 if case in FAILURES else case.status]

        assert seen == expected

    async def test_who_is_blocked_is_told_for_how_long_whatever_secret_it_brings(self, bare_registry: Registry) -> None:
        await furnish(bare_registry)
        assert await fail(bare_registry) == [401] * LIMIT

        for case in FAILURES + NO_FAILURES:
            check_refusal(await ask(bare_registry, case))

    async def test_who_brings_no_secret_is_served_all_the_same(self, bare_registry: Registry) -> None:
        await furnish(bare_registry)
        assert await fail(bare_registry, times=LIMIT + 1) == [401] * LIMIT + [429]

        seen = {case.name: (await ask(bare_registry, case)).status for case in NO_SECRETS}
        assert seen == {case.name: case.status for case in NO_SECRETS}

    async def test_other_clients_of_the_proxy_are_not_concerned(self, bare_registry: Registry) -> None:
        assert await fail(bare_registry, times=LIMIT + 1) == [401] * LIMIT + [429]

        assert (await ask(bare_registry, NO_FAILURES[0], client="192.0.2.2")).status == 200
        assert (await ask(bare_registry, NO_FAILURES[0], client="192.0.2.1, 192.0.2.2")).status == 200
        assert (await ask(bare_registry, NO_FAILURES[0], client="192.0.2.2, 192.0.2.1")).status == 429

    async def test_a_block_ends(self, bare_registry: Registry, redis_server: RedisServer) -> None:
        async def is_refused_for_a_second() -> bool:
            await fail(bare_registry)
            async with Redis.from_url(redis_server.url) as redis:
                await redis.pexpire("larder:auth-failures:192.0.2.1", 900)  # Most of the minute is over.
            refused = await ask(bare_registry, FAILURES[0])
            return (refused.status, refused.headers.get("retry-after")) == (429, "1")

        # On a busy machine the rest of the minute may be over as well.
        await eventually(is_refused_for_a_second, what="the client is blocked", timeout_seconds=60)

        async def is_let_in() -> bool:
            return (await ask(bare_registry, NO_FAILURES[0])).status == 200

        await eventually(is_let_in, what="the block ends", timeout_seconds=60)
        assert await fail(bare_registry, times=LIMIT + 1) == [401] * LIMIT + [429]

    async def test_a_client_that_is_blocked_is_not_asked_for_its_upload(self, bare_registry: Registry) -> None:
        await fail(bare_registry, times=LIMIT + 1)
        async with connected(bare_registry) as connection:
            await connection.send(
                head(
                    "POST",
                    upload_target(bare_registry),
                    X_Forwarded_For="192.0.2.1",
                    Content_Type=FORM_TYPE,
                    Content_Length="100000",
                    Expect="100-continue",
                )
            )
            assert await connection.answer() == (429, TOO_MANY)
        assert connection.heads[0].startswith(b"HTTP/1.1 429 ")

    async def test_with_redis_away_nobody_is_refused_nor_waits_for_long(
        self, bare_registry: Registry, redis_server: RedisServer
    ) -> None:
        await fail(bare_registry)
        redis_server.freeze()
        began = time.monotonic()
        assert await fail(bare_registry, times=2) == [401] * 2
        assert (await ask(bare_registry, NO_FAILURES[0])).status == 200
        redis_server.thaw()
        await redis_server.kill()
        assert await fail(bare_registry) == [401] * LIMIT
        assert time.monotonic() - began < 15

    async def test_the_log_names_the_client(self, bare_registry: Registry) -> None:
        with structlog.testing.capture_logs() as logs:
            await ask(bare_registry, NO_FAILURES[0], client="192.0.2.7")
        assert [entry["client"] for entry in logs if entry["event"] == "request.finished"] == ["192.0.2.7"]


class TestWithoutAProxy:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_AUTH_FAILURES_PER_MINUTE": str(LIMIT)}

    async def test_a_client_does_not_get_away_by_calling_itself_a_proxy(self, bare_registry: Registry) -> None:
        statuses = [(await fail(bare_registry, client=f"192.0.2.{host}", times=1))[0] for host in range(LIMIT + 1)]

        assert statuses == [401] * LIMIT + [429]
        assert (await ask(bare_registry, NO_FAILURES[0], client="192.0.2.99")).status == 429
