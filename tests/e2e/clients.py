"""The tools that publish and install: how each is called, and what it prints when it is turned away."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shared.models import Visibility
from tests.distributions import build_wheel, module_name, wheel_file_name
from tests.e2e.client_matrix import MATRIX, NAME, VISIBILITIES, WHEEL, WHEEL_NAME, Caller, Level, Login, Stage
from tests.e2e.shell import run_in_shell

UPLOADED = "Uploaded.Package"
_AT_ONCE = 2
_REASONS = {401: "401 Unauthorized", 403: "403 Forbidden", 404: "404 Not Found"}
_NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


class Client(StrEnum):
    """A tool, as far as it publishes or installs."""

    TWINE = "twine upload"
    UV_PUBLISH = "uv publish"
    PIP = "pip download"
    UV_PIP = "uv pip install"


PUBLISHERS, INSTALLERS = (Client.TWINE, Client.UV_PUBLISH), (Client.PIP, Client.UV_PIP)


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the matrix: somebody who comes with a tool."""

    client: Client
    caller: Caller
    visibility: Visibility
    level: Level = Level.PROJECT

    @property
    def status(self) -> int:
        """Return what the registry answers."""
        answers = MATRIX[self.caller]
        if self.client in PUBLISHERS:
            three = answers.upload
        else:
            three = answers.project if self.level is Level.PROJECT else answers.group
        return three[VISIBILITIES.index(self.visibility)]

    @property
    def is_let_in(self) -> bool:
        return self.status in (200, 201)


@dataclass(frozen=True, slots=True)
class Errand:
    """A cell that is tried out.

    Args:
        directory: its own. What is installed or downloaded comes to `target` in it.
        version: what is published; no other errand has it.
    """

    stage: Stage
    cell: Cell
    directory: Path
    version: str

    @property
    def url(self) -> str:
        return self.stage.pypi(self.cell.visibility, self.cell.level)

    @property
    def target(self) -> Path:
        return self.directory / "target"

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the tool to its end."""
        self.target.mkdir(parents=True)
        login = self.stage.login(self.cell.caller, self.cell.visibility)
        match self.cell.client:
            case Client.TWINE:
                return self._twine(login)
            case Client.UV_PUBLISH:
                return self._uv_publish(login)
            case Client.PIP:
                return self._shell(
                    "pip download -vv --no-deps --no-cache-dir --disable-pip-version-check --retries 0 --no-input "
                    f"-d '{self.target}' --index-url '{self._index(login)}' {NAME}"
                )
            case Client.UV_PIP:
                return self._shell(
                    f"uv pip install --no-cache --no-deps --python '{sys.executable}' --target '{self.target}' "
                    f"--index-url '{self._index(login)}' {NAME}"
                )

    def problem(self, run: subprocess.CompletedProcess[str]) -> str | None:
        """Return what is not as it should be; None when all is."""
        output = run.stdout + run.stderr
        if (run.returncode == 0) is not self.cell.is_let_in:
            return f"exit {run.returncode}\n{output}"
        if self.cell.is_let_in:
            return None if self.cell.client in PUBLISHERS or self._has_arrived() else "nothing has arrived"
        told = " ".join(output.split())  # A tool may break its lines to fit a terminal.
        missing = [text for text in self._refusal() if text not in told]
        if missing:
            return f"does not say {missing}\n{output}"
        return "something has arrived" if list(self.target.glob(f"{module_name(NAME)}*")) else None

    def _refusal(self) -> list[str]:
        """Return the lines by which the tool's user learns why."""
        status, reason = self.cell.status, _REASONS[self.cell.status]
        is_nobody = self.cell.caller is Caller.NOBODY
        match self.cell.client:
            case Client.TWINE:
                return [f"HTTPError: {reason} from"]
            case Client.UV_PUBLISH if is_nobody:
                return [f"Missing credentials for: {self.url}"]
            case Client.UV_PUBLISH:
                return [f'Server returned status code {reason}. Server says: {{"message":"{reason}"}}']
            case Client.PIP:
                lines = [f"ERROR: No matching distribution found for {NAME}", f": {status} Client Error: {reason[4:]} "]
                if status == 401 and not is_nobody:
                    lines.append(f"WARNING: 401 Error, Credentials not correct for {self.url}/simple/{NAME}/")
                return lines
            case Client.UV_PIP:
                hints = {
                    401: "could not be queried due to a lack of valid authentication credentials (401 Unauthorized)",
                    403: "returned a 403 Forbidden error. Check that the index URL is correct and the credentials are",
                    404: f"Because {NAME} was not found in the package registry",
                }
                return ["error: No solution found when resolving dependencies", hints[status]]

    def _has_arrived(self) -> bool:
        if self.cell.client is Client.PIP:
            return (self.target / WHEEL_NAME).read_bytes() == WHEEL
        return (self.target / f"{module_name(NAME)}.py").read_text(encoding="utf-8") == 'VERSION = "1.0"\n'

    def _twine(self, login: Login) -> subprocess.CompletedProcess[str]:
        return self._shell(
            f"twine upload --non-interactive --disable-progress-bar --repository-url {self.url} '{self._wheel()}'",
            TWINE_USERNAME=login.username,
            TWINE_PASSWORD=login.password,
        )

    def _uv_publish(self, login: Login) -> subprocess.CompletedProcess[str]:
        brought = {"UV_PUBLISH_USERNAME": login.username, "UV_PUBLISH_PASSWORD": login.password}
        return self._shell(
            f"uv publish --no-cache --trusted-publishing never --publish-url {self.url} '{self._wheel()}'",
            **(brought if login.username else {}),
        )

    def _wheel(self) -> Path:
        wheel = self.directory / wheel_file_name(UPLOADED, self.version)
        wheel.write_bytes(build_wheel(UPLOADED, self.version))
        return wheel

    def _index(self, login: Login) -> str:
        scheme, rest = f"{self.url}/simple/".split("://", 1)
        return f"{scheme}://{login.username}:{login.password}@{rest}" if login.username else f"{scheme}://{rest}"

    def _shell(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_in_shell(command, cwd=self.directory, **_NO_KEYRING, **environment)


async def run_errands(errands: Sequence[Errand]) -> dict[Cell, str]:
    """Run all of them, two at a time, and return the problems of those that have any."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def run(errand: Errand) -> str | None:
        async with turns:
            return errand.problem(await asyncio.to_thread(errand.run))

    async with asyncio.TaskGroup() as group:
        tasks = {errand.cell: group.create_task(run(errand)) for errand in errands}
    return {cell: problem for cell, task in tasks.items() if (problem := task.result()) is not None}
