"""The process boundary around archives, with real child processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.worker import inspection_processes
from services.worker.inspection import DistributionInspector, InspectionLimits
from services.worker.inspection_processes import InspectionFailed
from shared.errors import DistributionRejected
from shared.limits import Limits
from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name, wheel_file_name
from tests.hostile_archives import (
    MIB,
    RawMember,
    gzip_of_nothing,
    raw_zip,
    tar_gz_of_headers,
    tar_gz_of_huge_header,
    tar_gz_of_zeros,
)
from tests.waiting import eventually, wait_for

_WHEEL = wheel_file_name("foo", "1.0")
_SDIST = sdist_file_name("foo", "1.0")
_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def inspector() -> AsyncIterator[DistributionInspector]:
    async with DistributionInspector() as inspector:
        yield inspector


def _template(inspector: DistributionInspector) -> int:
    """Return the process that children are forked from."""
    template = inspector._processes._template
    assert template is not None
    return template.process.pid


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _is_gone(pid: int) -> bool:
    """Say whether a process is neither running nor waiting to be reaped."""
    return not Path(f"/proc/{pid}").exists()


async def _children_at_work(inspector: DistributionInspector, number: int = 1) -> set[int]:
    """Return the children when there are so many, each under its limits."""

    async def are_there() -> bool:
        children = _children(_template(inspector))
        return len(children) == number and all(_is_limited(child) for child in children)

    await eventually(are_there, what=f"{number} children are at work", timeout_seconds=60)
    return _children(_template(inspector))


def _is_limited(pid: int) -> bool:
    """Say whether a child has set the last of its limits."""
    (line,) = (one for one in Path(f"/proc/{pid}/limits").read_text().splitlines() if one.startswith("Max cpu time"))
    return "unlimited" not in line


@pytest.mark.parametrize(
    ("file_name", "content"),
    [
        (_WHEEL, build_wheel("foo", "1.0", requires_python=">=3.9")),
        (_SDIST, build_sdist("foo", "1.0", requires_python=">=3.9")),
    ],
)
async def test_metadata_crosses_the_boundary_unharmed(
    inspector: DistributionInspector, tmp_path: Path, file_name: str, content: bytes
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(content)
    metadata = await inspector.inspect(path, file_name=file_name)
    assert metadata.raw == core_metadata("foo", "1.0", requires_python=">=3.9")
    assert (metadata.name, metadata.version, metadata.requires_python) == ("foo", "1.0", ">=3.9")


async def test_the_largest_metadata_crosses_the_boundary(inspector: DistributionInspector, tmp_path: Path) -> None:
    head = core_metadata("foo", "1.0")
    metadata = head + os.urandom(MIB - len(head))
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0", metadata=metadata))
    assert (await inspector.inspect(path, file_name=_WHEEL)).raw == metadata


async def test_a_flaw_in_the_metadata_crosses_the_boundary(inspector: DistributionInspector, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0", metadata=core_metadata("foo", "1.0", requires_python="caf\u00e9")))
    metadata = await inspector.inspect(path, file_name=_WHEEL)
    assert metadata.flaw == "metadata is invalid: 'caf?' is invalid for 'requires-python'"


@pytest.mark.parametrize(
    "fields",
    [
        b"Classifier: a\n" * 70_000,
        b"Requires-Dist: a\n" * 60_000,
        (b"Requires-Dist: a" + b">=1," * 450 + b"\n") * 500,
        b"".join(b"h%d:\n" % number for number in range(100_000)),
        b"Content-Type: message/rfc822\n\n" * 30_000,
    ],
)
async def test_no_metadata_keeps_a_child_busy(inspector: DistributionInspector, tmp_path: Path, fields: bytes) -> None:
    path = tmp_path / "blob"
    head = core_metadata("foo", "1.0").partition(b"\n\n")[0] + b"\n"
    path.write_bytes(build_wheel("foo", "1.0", metadata=head + fields))
    try:
        found = (await inspector.inspect(path, file_name=_WHEEL)).flaw or "metadata has no flaw"
    except DistributionRejected as rejection:
        found = rejection.reason
    assert found.startswith("metadata ")  # And not: archive takes too long to be read, or too much memory.


async def test_every_inspection_has_a_process_of_its_own(inspector: DistributionInspector, tmp_path: Path) -> None:
    seen: set[int] = set()
    for number in range(3):
        pipe = tmp_path / str(number)
        os.mkfifo(pipe)
        inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
        (child,) = await _children_at_work(inspector)
        assert child not in seen
        seen.add(child)
        with suppress(BrokenPipeError):  # What is read from a pipe cannot be an archive; it may not be read to its end.
            pipe.write_bytes(build_wheel("foo", "1.0"))
        with pytest.raises(InspectionFailed, match="not seekable"):
            await inspecting
        assert _is_gone(child)
    assert _children(_template(inspector)) == set()


async def test_a_refusal_carries_its_reason(inspector: DistributionInspector, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("bar", "1.0"))
    with pytest.raises(DistributionRejected) as refusal:
        await inspector.inspect(path, file_name=_WHEEL)
    assert refusal.value.reason == "dist-info directory 'bar-1.0.dist-info' is not that of foo 1.0"
    with pytest.raises(DistributionRejected, match="File name is that of no wheel or sdist"):
        await inspector.inspect(path, file_name="notes.txt")


def _zip_with_zeros() -> bytes:
    return build_wheel("foo", "1.0", extra_files={"foo/zeros": bytes(70 * MIB)})


def _zip_of_many() -> bytes:
    return raw_zip((RawMember(b"%d" % number) for number in range(100_001)), is_zip64=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_name", "make", "reason"),
    [
        (_WHEEL, _zip_with_zeros, "archive expands to more than 100 times its size"),
        (_WHEEL, _zip_of_many, "archive has more than 100000 entries"),
        (
            _SDIST,
            lambda: tar_gz_of_zeros("foo-1.0/zeros", expanded_bytes=4096 * MIB),
            "archive expands to more than 100 times its size",
        ),
        (
            _SDIST,
            lambda: tar_gz_of_headers("foo-1.0/d", entries=1_000_000),
            "archive has more than 100000 entries",
        ),
        (
            _SDIST,
            lambda: tar_gz_of_huge_header("foo-1.0", header_bytes=2048 * MIB),
            "archive needs more than 512 MiB of memory to be read",
        ),
        (_SDIST, lambda: gzip_of_nothing(members=20_000), "tar archive is damaged"),
    ],
)
async def test_bombs_end_in_a_refusal(
    inspector: DistributionInspector, tmp_path: Path, file_name: str, make: object, reason: str
) -> None:
    assert callable(make)
    bomb, honest = tmp_path / "bomb", tmp_path / "honest"
    bomb.write_bytes(make())
    honest.write_bytes(build_wheel("foo", "1.0"))
    with pytest.raises(DistributionRejected) as refusal:
        await inspector.inspect(bomb, file_name=file_name)
    assert refusal.value.reason == reason
    assert (await inspector.inspect(honest, file_name=_WHEEL)).name == "foo"


@pytest.mark.slow
async def test_an_archive_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(tar_gz_of_headers("foo-1.0", entries=100_000))
    async with DistributionInspector(InspectionLimits(cpu_seconds=1, wall_factor=50)) as inspector:
        with pytest.raises(DistributionRejected, match=r"\Aarchive takes too long to be read\Z"):
            await inspector.inspect(path, file_name=_SDIST)


async def test_an_inspection_that_the_clock_ends_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)  # Opening it waits for a writer, for ever.
    async with DistributionInspector(InspectionLimits(cpu_seconds=1, wall_factor=0.5)) as inspector:
        with pytest.raises(InspectionFailed, match="no answer within"):
            await inspector.inspect(path, file_name=_WHEEL)
        assert _children(_template(inspector)) == set()


async def test_a_file_that_is_not_there_is_worth_another_try(inspector: DistributionInspector, tmp_path: Path) -> None:
    with pytest.raises(InspectionFailed, match="cannot be read"):
        await inspector.inspect(tmp_path / "missing", file_name=_WHEEL)
    with pytest.raises(InspectionFailed, match="IsADirectoryError"):
        await inspector.inspect(tmp_path, file_name=_WHEEL)


async def test_what_children_are_forked_from_is_started_again_when_it_died(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    pipe, honest = tmp_path / "pipe", tmp_path / "honest"
    os.mkfifo(pipe)
    honest.write_bytes(build_wheel("foo", "1.0"))
    inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
    (busy,) = await _children_at_work(inspector)
    os.kill(_template(inspector), signal.SIGKILL)
    with pytest.raises(InspectionFailed, match="the process that inspections are forked from ended: exit code -9"):
        await inspecting
    wait_for(lambda: _is_gone(busy), what="its child is gone as well", timeout_seconds=60)
    assert (await inspector.inspect(honest, file_name=_WHEEL)).name == "foo"


async def test_a_child_that_is_killed_at_work_is_worth_another_try(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    pipe, honest = tmp_path / "pipe", tmp_path / "honest"
    os.mkfifo(pipe)
    honest.write_bytes(build_wheel("foo", "1.0"))
    inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
    (busy,) = await _children_at_work(inspector)
    os.kill(busy, signal.SIGKILL)
    with pytest.raises(InspectionFailed, match="exit code -9"):
        await inspecting
    assert (await inspector.inspect(honest, file_name=_WHEEL)).name == "foo"


async def test_a_cancelled_inspection_leaves_no_process(inspector: DistributionInspector, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    inspecting = asyncio.create_task(inspector.inspect(path, file_name=_WHEEL))
    (busy,) = await _children_at_work(inspector)
    inspecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inspecting
    assert _is_gone(busy)


async def test_many_inspections_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    path, pipe = tmp_path / "blob", tmp_path / "pipe"
    path.write_bytes(build_wheel("foo", "1.0"))
    os.mkfifo(pipe)
    async with DistributionInspector(InspectionLimits(at_once=2)) as inspector:
        stuck = [asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL)) for _ in range(2)]
        await _children_at_work(inspector, 2)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(inspector.inspect(path, file_name=_WHEEL)) for _ in range(10)]
            await asyncio.wait(waiting, timeout=0.1)
            assert not any(task.done() for task in waiting)
            for task in stuck:
                task.cancel()
        assert {task.result().name for task in waiting} == {"foo"}
        assert _children(_template(inspector)) == set()
        await asyncio.wait(stuck)


async def test_nothing_is_left_when_the_inspector_ends(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with DistributionInspector() as inspector:
        inspecting = asyncio.create_task(inspector.inspect(path, file_name=_WHEEL))
        children = await _children_at_work(inspector)
        template = _template(inspector)
    assert all(_is_gone(pid) for pid in (template, *children))
    with pytest.raises(InspectionFailed):
        await inspecting


def test_no_child_outlives_a_killed_worker(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = (
        "import asyncio, pathlib\n"
        "from services.worker.inspection import DistributionInspector\n"
        "async def main():\n"
        "    async with DistributionInspector() as inspector:\n"
        "        print(inspector._processes._template.process.pid, flush=True)\n"
        f"        await inspector.inspect(pathlib.Path({str(pipe)!r}), file_name={_WHEEL!r})\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=_ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        template = int(worker.stdout.readline())
        wait_for(lambda: bool(_children(template)), what="an archive is being inspected", timeout_seconds=60)
        (child,) = _children(template)
        worker.kill()
    wait_for(
        lambda: _is_gone(template) and _is_gone(child), what="nothing of a killed worker is left", timeout_seconds=60
    )


async def test_a_child_has_neither_the_workers_settings_nor_room_to_do_harm(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
    (pid,) = await _children_at_work(inspector)
    process = Path(f"/proc/{pid}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (process / "limits").read_text().splitlines()}
    assert limits["Max cpu time"] == ["10", "11"]
    assert limits["Max address space"] == [str(512 * MIB)] * 2
    assert limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["16", "16"]
    assert "NoNewPrivs:\t1\n" in (process / "status").read_text()
    assert (process / "comm").read_text() == "larder inspect\n"
    assert (process / "environ").read_bytes().count(b"=") == 0
    assert os.getpgid(pid) == _template(inspector) != os.getpgid(0)
    inherited = {str(entry.readlink()).partition(":")[0] for entry in (process / "fd").iterdir()}
    assert inherited == {"/dev/null", "socket"}
    assert len(list((process / "fd").iterdir())) == 3
    inspecting.cancel()
    await asyncio.wait([inspecting])


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise SystemExit('a broken installation')", "exit code 1: a broken installation"),
        ("", "exit code 0: "),
    ],
)
async def test_an_installation_that_cannot_inspect_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, problem: str
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    monkeypatch.setattr(inspection_processes, "_BOOTSTRAP", program)
    async with DistributionInspector() as inspector:
        with pytest.raises(InspectionFailed) as failure:
            await inspector.inspect(path, file_name=_WHEEL)
    assert str(failure.value) == f"the process that inspections are forked from ended: {problem}"


@pytest.mark.parametrize(
    ("child", "problem"),
    [
        ("raise SystemExit(3)", "exit code 1: "),
        ("None", "no answer: "),
        ("print('{}', end='', flush=True)", "unknown answer: {}"),
        ("[print('x' * 65536) for _ in range(1000)]", "the answer is longer than 4194304 bytes"),
    ],
)
async def test_a_child_that_does_not_do_its_work_is_reported_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: str, problem: str
) -> None:
    path, other = tmp_path / "blob", tmp_path / "other"
    path.write_bytes(build_wheel("foo", "1.0"))
    other.write_bytes(build_wheel("bar", "1.0"))
    planted = (
        "import sys; root, *numbers = sys.argv[1:]; sys.path.insert(0, root)\n"
        "from services.worker import inspection_template as template\n"
        "inspect = template.inspect\n"
        "def plant(request):\n"
        f"    if request['path'].endswith('other'): return inspect(request)\n"
        f"    {child}\n"
        "template.inspect = plant\n"
        "template.main(*map(int, numbers))\n"
    )
    monkeypatch.setattr(inspection_processes, "_BOOTSTRAP", planted)
    async with DistributionInspector() as inspector:
        with pytest.raises(InspectionFailed) as failure:
            await inspector.inspect(path, file_name=_WHEEL)
        assert str(failure.value).startswith(problem)
        assert (await inspector.inspect(other, file_name=wheel_file_name("bar", "1.0"))).name == "bar"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_archive_entries=2), "archive has more than 2 entries"),
        (Limits(max_archive_bytes=4 * MIB), "archive expands to more than 4 MiB"),
        (Limits(max_archive_ratio=50), "archive expands to more than 50 times its size"),
    ],
)
async def test_what_an_archive_may_hold_is_for_the_operator_to_say(tmp_path: Path, limits: Limits, reason: str) -> None:
    path = tmp_path / "blob"
    path.write_bytes(_zip_with_zeros())
    async with DistributionInspector(InspectionLimits.of(limits)) as inspector:
        with pytest.raises(DistributionRejected) as refusal:
            await inspector.inspect(path, file_name=_WHEEL)
    assert refusal.value.reason == reason


def test_without_a_word_of_the_operator_an_inspection_has_its_own_limits() -> None:
    assert InspectionLimits.of(Limits()) == InspectionLimits()
