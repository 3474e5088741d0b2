"""A process that remembers answers as one that does not: byte for byte, whatever is asked and whatever happens."""

import random
from dataclasses import replace

import pytest

from shared.settings import Settings
from shared.usecases.memo import Key, Memo, _Entry
from tests.api.random_world import Question, World
from tests.api.registry import Answer, Registry, running_registry

_QUESTIONS = 24
_ASKED_AT_A_TIME = 16
_KNOWN_ALREADY = 0.3
_DIFFER_ANYHOW = {"x-request-id", "date"}


@pytest.fixture
def environment() -> dict[str, str]:
    """Give settings with which wrong secrets may be tried all day."""
    return {"LARDER_AUTH_FAILURES_PER_MINUTE": "1000000"}


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 5))])
async def test_what_is_remembered_changes_no_answer(
    settings: Settings, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Key] = []
    find = Memo._find

    async def noted(memo: Memo, key: Key) -> _Entry | None:
        entry = await find(memo, key)
        if entry is not None:
            used.append(key)
        return entry

    monkeypatch.setattr(Memo, "_find", noted)
    told = await _ask_both(settings, seed, rounds=14)
    statuses = {answer.status for answer in told}
    assert {200, 304, 401, 404} <= statuses
    assert {key[0] for key in used} >= {"visit of project", "visit of group", "page", "index", "file"}


async def _ask_both(settings: Settings, seed: int, *, rounds: int) -> list[Answer]:
    chance = random.Random(seed)
    told = []
    # What is ready is compared in test_ready_answers_alike; here it would keep questions from the memory.
    async with (
        running_registry(replace(settings, keeps_ready_answers=False)) as remembering,
        running_registry(replace(settings, cache_bytes=0)) as forgetful,
    ):
        world = World(remembering, chance)
        await world.fill()
        questions = [world.question() for _ in range(_QUESTIONS)]
        etags: dict[str, str] = {}
        happened = ""
        for _ in range(rounds):
            questions[chance.randrange(_QUESTIONS)] = world.question()
            for question in chance.choices(questions, k=_ASKED_AT_A_TIME):
                if question.path in etags and chance.random() < _KNOWN_ALREADY:
                    question.headers["If-None-Match"] = etags[question.path]
                answer, expected = await _ask(remembering, question), await _ask(forgetful, question)
                assert answer == expected, (question, happened)
                told.append(answer)
                if "etag" in answer.headers:
                    etags[question.path] = answer.headers["etag"]
            happened = await world.happen()
    return told


async def _ask(registry: Registry, question: Question) -> Answer:
    url = f"{registry.url}{question.path}"
    async with registry.session.request(
        question.method, url, headers=question.headers, allow_redirects=False, auto_decompress=False
    ) as response:
        headers = {
            name.lower(): value for name, value in response.headers.items() if name.lower() not in _DIFFER_ANYHOW
        }
        return Answer(response.status, headers, await response.read())
