"""Looks for one stale answer: after each write's answer, the very next request of everybody has to show it.

A `Teller` has a group, a project and people of its own. It writes by way of one API process, and then asks all
processes what everybody is told; the answers are compared with what must be told now. Several tellers go on at once, so
that counters change while others are being looked at.
"""

import asyncio
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.distributions import build_wheel, wheel_file_name
from tests.doors import Door, Told, ask_digest, ask_index, ask_names, ask_page, ask_status

_GUESTS = "allow_guest_plus_roles_to_pull_packages"
_DEVELOPER, _GUEST = 30, 10
_VERSIONS = tuple(f"1.{number}" for number in range(12))
WHEELS = {wheel_file_name("pkg", version): build_wheel("pkg", version) for version in _VERSIONS}

GONE: Told = (404, None)


@dataclass(slots=True)
class Findings:
    """What was looked at.

    Args:
        checks: answers that were compared.
        writes: by what was written.
        stale: what was told, and what should have been.
    """

    checks: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Teller:
    """Writes and asks in a project of its own.

    Args:
        asks: so many of the questions, drawn anew for each write; None: all of them.
    """

    number: int
    doors: Sequence[Door]
    root: str
    findings: Findings
    chance: random.Random
    asks: int | None = None
    group_id: int = 0
    project_id: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    packages: dict[str, int] = field(default_factory=dict)
    yanked: set[str] = field(default_factory=set)
    is_public: bool = False
    is_quarantined: bool = False
    guests_may_pull: bool = True
    members: set[str] = field(default_factory=lambda: {"member", "of-group", "guest"})
    blocked: set[str] = field(default_factory=set)
    spare: tuple[int, str] | None = None
    ended: str | None = None
    drawn: frozenset[str] = frozenset()
    wheel: str = wheel_file_name("pkg", _VERSIONS[0])

    async def settle(self) -> None:
        """Make the group, the project and the people."""
        group = await self._make("groups", name="G", path=f"g{self.number}", visibility="public")
        self.group_id = group["id"]
        project = await self._make("projects", name="P", path="p", namespace_id=self.group_id, visibility="private")
        self.project_id = project["id"]
        for name in ("member", "of-group", "guest"):
            username = f"{name}-{self.number}"
            user = await self._make(
                "users", email=f"{username}@localhost", username=username, name=name, force_random_password=True
            )
            self.users[name] = user["id"]
            self.tokens[name] = (await self._token(name))["token"]
        for name in tuple(self.members):
            await self._add_member(name)
        await self._upload(wheel_file_name("pkg", _VERSIONS[0]))

    async def go_on(self, *, writes: int) -> None:
        """Write so often, and ask everybody everywhere after each."""
        for _ in range(writes):
            await self._write_and_check()

    async def go_on_until(self, *, checks: int, period: float) -> None:
        """Write once in a period, and ask everybody everywhere all the time.

        Args:
            checks: of all tellers together, after which it is over.
            period: seconds.
        """
        loop = asyncio.get_running_loop()
        while self.findings.checks < checks:
            due = loop.time() + period
            await self._write_and_check()
            while loop.time() < due and self.findings.checks < checks:
                await self.check()

    async def _write_and_check(self) -> None:
        kinds: list[Callable[[], Awaitable[str]]] = [
            self._upload_or_delete,
            self._yank_or_unyank,
            self._revoke_or_issue,
            self._remove_or_add_member,
            self._change_visibility,
            self._mark_name,
            self._block_or_unblock,
        ]
        if self.number == 0:
            kinds.append(self._change_settings)
        self.draw()
        async with asyncio.TaskGroup() as group:
            # Asks what is being changed meanwhile, so that something is derived before the write and kept after it.
            group.create_task(self._ask_whatever_the_answers())
            self.findings.writes[await self.chance.choice(kinds)()] += 1
            await self.check()

    async def check(self) -> None:
        """Ask every process the questions that were drawn, and compare what it tells with what must be told now."""
        questions = self._questions()
        told = await asyncio.gather(*(ask(door) for door in self.doors for ask, _ in questions.values()))
        expected = [answer for _ in self.doors for _, answer in questions.values()]
        self.findings.checks += len(told)
        for name, one, other in zip(list(questions) * len(self.doors), told, expected, strict=True):
            if one != other:
                self.findings.stale.append(f"{name}: {one} is told, {other} holds after {self.findings.writes}")

    async def _ask_whatever_the_answers(self) -> None:
        for number, (ask, _) in enumerate(self._questions().values()):
            await ask(self.doors[number % len(self.doors)])

    def draw(self) -> None:
        """Choose what is asked until the next write."""
        self.wheel = self.chance.choice(list(WHEELS))
        names = list(self._all_questions())
        self.drawn = frozenset(names if self.asks is None else self.chance.sample(names, self.asks))

    def _questions(self) -> dict[str, tuple[Callable[[Door], Awaitable[Told]], Told]]:
        return {name: one for name, one in self._all_questions().items() if name in self.drawn}

    def _all_questions(self) -> dict[str, tuple[Callable[[Door], Awaitable[Told]], Told]]:
        project, group = f"/api/v4/projects/{self.project_id}", f"/api/v4/groups/{self.group_id}/-"
        page, of_group = f"{project}/packages/pypi/simple/pkg/", f"{group}/packages/pypi/simple/pkg/"
        member, in_group, guest = (self.tokens[name] for name in ("member", "of-group", "guest"))
        wheel = self.wheel
        file = f"files/{hashlib.sha256(WHEELS[wheel]).hexdigest()}/{wheel}"
        files = {} if self.is_quarantined else {name: name in self.yanked for name in self.packages}
        has_file = wheel in files
        shown = hashlib.sha256(WHEELS[wheel]).hexdigest() if has_file else None
        whole = (200, files)
        spare = self.ended or (self.spare[1] if self.spare else None)
        # One teller alone changes what holds for all of them.
        of_guests = {"a guest's page": (ask_page(page, guest), self._as(guest, whole))} if self.number == 0 else {}
        return of_guests | {
            "a member's page": (ask_page(page, member), self._as(member, whole)),
            "a group member's page": (ask_page(page, in_group), self._as(in_group, whole)),
            "the administrator's page in HTML": (ask_names(page, self.root), (200, sorted(files))),
            "nobody's page": (ask_page(page, None), whole if self.is_public else (401, None)),
            "the page of a token that comes and goes": (ask_page(page, spare), self._of_spare(whole)),
            "a member's file": (
                ask_digest(f"{project}/packages/pypi/{file}", member),
                self._as(member, (200, shown) if has_file else GONE),
            ),
            "a member's metadata": (
                ask_status(f"{project}/packages/pypi/{file}.metadata", member),
                self._as(member, (200, None) if has_file else GONE),
            ),
            "a group's page": (ask_page(of_group, in_group), self._in_group(whole)),
            "a group's file": (
                ask_digest(f"{group}/packages/pypi/{file}", in_group),
                self._in_group((200, shown) if has_file else GONE),
            ),
            "a group's index": (
                ask_index(f"{group}/packages/pypi/simple/", in_group),
                (403, None) if "of-group" in self.blocked else (200, ["pkg"] if self._pulls_in_group() else []),
            ),
        }

    def _as(self, token: str, answer: Told) -> Told:
        """Return what the holder of the token is told where a reader is told this."""
        name = next(name for name, own in self.tokens.items() if own == token)
        if name in self.blocked:
            return 403, None
        if self.is_public:
            return answer
        if name not in self.members:
            return GONE
        return (403, None) if name == "guest" and not self.guests_may_pull else answer

    def _pulls_in_group(self) -> bool:
        return self.is_public or "of-group" in self.members

    def _in_group(self, answer: Told) -> Told:
        if "of-group" in self.blocked:
            return 403, None
        return answer if self._pulls_in_group() else GONE

    def _of_spare(self, answer: Told) -> Told:
        if self.ended is not None:
            return 401, None
        if self.spare is None:
            return answer if self.is_public else (401, None)
        return self._as(self.tokens["member"], answer)

    async def _upload_or_delete(self) -> str:
        name = self.chance.choice(list(WHEELS)[1:])
        if name not in self.packages:
            if self.is_quarantined:
                return await self._mark_name()
            await self._upload(name)
            return "upload"
        await self._write("DELETE", f"/projects/{self.project_id}/packages/{self.packages.pop(name)}")
        self.yanked.discard(name)
        return "delete"

    async def _upload(self, name: str) -> None:
        form = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
        version = name.split("-")[1]
        form.add_field("name", "pkg")
        form.add_field("version", version)
        form.add_field("content", io.BytesIO(WHEELS[name]), filename=name)
        await self._write("POST", f"/projects/{self.project_id}/packages/pypi", form)
        wanted = f"/projects/{self.project_id}/packages?package_name=pkg&package_version={version}&order_by=created_at"
        self.packages[name] = (await self._write("GET", wanted))[0]["id"]

    async def _yank_or_unyank(self) -> str:
        name = self.chance.choice(list(self.packages))
        method = "DELETE" if name in self.yanked else "PUT"
        await self._write(method, f"/projects/{self.project_id}/packages/{self.packages[name]}/yank")
        self.yanked ^= {name}
        return "yank"

    async def _revoke_or_issue(self) -> str:
        if self.spare is None:
            made = await self._token("member")
            self.spare, self.ended = (made["id"], made["token"]), None
            return "token"
        token_id, secret = self.spare
        await self._write("DELETE", f"/personal_access_tokens/{token_id}")
        self.spare, self.ended = None, secret
        return "revocation"

    async def _remove_or_add_member(self) -> str:
        name = self.chance.choice(("member", "of-group"))
        if name in self.members:
            await self._write("DELETE", f"/{self._place(name)}/members/{self.users[name]}")
        else:
            await self._add_member(name)
        self.members ^= {name}
        return "membership"

    async def _add_member(self, name: str) -> None:
        level = _GUEST if name == "guest" else _DEVELOPER
        body = {"user_id": self.users[name], "access_level": level}
        await self._write("POST", f"/{self._place(name)}/members", body)

    def _place(self, name: str) -> str:
        return f"groups/{self.group_id}" if name == "of-group" else f"projects/{self.project_id}"

    async def _change_visibility(self) -> str:
        self.is_public = not self.is_public
        visibility = "public" if self.is_public else "private"
        await self._write("PUT", f"/projects/{self.project_id}?visibility={visibility}")
        return "visibility"

    async def _mark_name(self) -> str:
        self.is_quarantined = not self.is_quarantined
        status = "quarantined" if self.is_quarantined else "active"
        await self._write("PUT", f"/projects/{self.project_id}/packages/pypi/names/pkg/status", {"status": status})
        return "name status"

    async def _block_or_unblock(self) -> str:
        name = self.chance.choice(("member", "of-group"))
        word = "unblock" if name in self.blocked else "block"
        await self._write("POST", f"/users/{self.users[name]}/{word}")
        self.blocked ^= {name}
        return "block"

    async def _change_settings(self) -> str:
        self.guests_may_pull = not self.guests_may_pull
        await self._write("PUT", f"/application/settings?{_GUESTS}={str(self.guests_may_pull).lower()}")
        return "settings"

    async def _token(self, name: str) -> Any:
        return await self._make(f"users/{self.users[name]}/personal_access_tokens", name="t", scopes=["api"])

    async def _make(self, what: str, **fields: Any) -> Any:
        return await self._write("POST", f"/{what}", fields)

    async def _write(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that has to succeed, to a process that chance picks."""
        headers = {"PRIVATE_TOKEN": self.root}
        if isinstance(body, dict):
            headers["Content_Type"] = "application/json"
        data = json.dumps(body) if isinstance(body, dict) else body
        door = self.chance.choice(self.doors)
        status, told = await door.ask(method, f"/api/v4{path}", token=None, data=data, **headers)
        assert status < 300, (method, path, status, told)
        with suppress(ValueError):
            return json.loads(told)


async def look_for_stale_answers(doors: Sequence[Door], root: str, *, tellers: int, writes: int, seed: int) -> Findings:
    """Have so many tellers write so often, each by itself, and return what they found.

    Args:
        root: the administrator's token.
    """
    all_tellers = await settled_tellers(doors, root, tellers=tellers, seed=seed)
    async with asyncio.TaskGroup() as group:
        for teller in all_tellers:
            group.create_task(teller.go_on(writes=writes))
    return all_tellers[0].findings


async def settled_tellers(
    doors: Sequence[Door], root: str, *, tellers: int, seed: int, asks: int | None = None
) -> list[Teller]:
    """Return so many tellers that are ready to go on, and share what they find.

    Args:
        asks: as of `Teller`.
    """
    findings = Findings()
    made = [
        Teller(
            number=number,
            doors=doors,
            root=root,
            findings=findings,
            chance=random.Random(f"{seed}-{number}"),
            asks=asks,
        )
        for number in range(tellers)
    ]
    for teller in made:
        await teller.settle()
        teller.draw()
        await teller.check()
    return made
