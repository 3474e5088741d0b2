"""The process boundary around archives, with real child processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.worker import inspection
from services.worker.inspection import DistributionInspector, InspectionFailed, InspectionLimits
from shared.errors import DistributionRejected
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


def _pids(inspector: DistributionInspector) -> set[int]:
    return {child.pid for child in inspector._children}


def _is_gone(pid: int) -> bool:
    """Say whether a process is neither running nor waiting to be reaped."""
    return not Path(f"/proc/{pid}").exists()


async def _has_begun(pid: int) -> bool:
    """Say whether a child has got so far that it waits for its request."""
    return Path(f"/proc/{pid}/comm").read_text() == "larder inspect\n"


async def _ready_spare(inspector: DistributionInspector) -> int:
    (pid,) = _pids(inspector)
    await eventually(lambda: _has_begun(pid), what="the spare child is ready", timeout_seconds=20)
    return pid


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


async def test_every_inspection_has_a_process_of_its_own_and_another_is_ready(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    seen: set[int] = set()
    for _ in range(3):
        (spare,) = _pids(inspector)
        assert spare not in seen
        seen.add(spare)
        await inspector.inspect(path, file_name=_WHEEL)
        assert _is_gone(spare)


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
    # Header parsers look each name up among all others.
    headers = b"".join(b"h%d:\n" % number for number in range(100_000))
    path = tmp_path / "blob"
    path.write_bytes(
        build_wheel("foo", "1.0", metadata=core_metadata("foo", "1.0").partition(b"\n\n")[0] + b"\n" + headers)
    )
    async with DistributionInspector(InspectionLimits(cpu_seconds=1, wall_factor=50)) as inspector:
        with pytest.raises(DistributionRejected, match=r"\Aarchive takes too long to be read\Z"):
            await inspector.inspect(path, file_name=_WHEEL)


async def test_an_inspection_that_the_clock_ends_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)  # Opening it waits for a writer, for ever.
    async with DistributionInspector(InspectionLimits(cpu_seconds=1, wall_factor=0.5)) as inspector:
        (busy,) = _pids(inspector)
        with pytest.raises(InspectionFailed, match="no answer within"):
            await inspector.inspect(path, file_name=_WHEEL)
        assert _is_gone(busy)


async def test_a_file_that_is_not_there_is_worth_another_try(inspector: DistributionInspector, tmp_path: Path) -> None:
    with pytest.raises(InspectionFailed, match="cannot be read"):
        await inspector.inspect(tmp_path / "missing", file_name=_WHEEL)
    with pytest.raises(InspectionFailed, match="IsADirectoryError"):
        await inspector.inspect(tmp_path, file_name=_WHEEL)


async def test_a_spare_child_that_died_is_replaced(inspector: DistributionInspector, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    (spare,) = inspector._children
    spare.kill()
    await spare.wait()
    assert (await inspector.inspect(path, file_name=_WHEEL)).name == "foo"


async def test_a_child_that_is_killed_at_work_is_worth_another_try(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    pipe, honest = tmp_path / "pipe", tmp_path / "honest"
    os.mkfifo(pipe)
    honest.write_bytes(build_wheel("foo", "1.0"))
    busy = await _ready_spare(inspector)
    inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
    await eventually(lambda: _is_waiting(inspector), what="the next child has been started", timeout_seconds=20)
    os.kill(busy, signal.SIGKILL)
    with pytest.raises(InspectionFailed, match="exit code -9"):
        await inspecting
    assert (await inspector.inspect(honest, file_name=_WHEEL)).name == "foo"


async def _is_waiting(inspector: DistributionInspector) -> bool:
    return len(inspector._children) == 2


async def test_a_cancelled_inspection_leaves_no_process(inspector: DistributionInspector, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    busy = await _ready_spare(inspector)
    inspecting = asyncio.create_task(inspector.inspect(path, file_name=_WHEEL))
    await eventually(lambda: _is_waiting(inspector), what="the next child has been started", timeout_seconds=20)
    inspecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inspecting
    assert _is_gone(busy)
    assert busy not in _pids(inspector)


@pytest.mark.slow
async def test_many_inspections_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    path, pipe = tmp_path / "blob", tmp_path / "pipe"
    path.write_bytes(build_wheel("foo", "1.0"))
    os.mkfifo(pipe)
    async with DistributionInspector(InspectionLimits(at_once=2)) as inspector:
        stuck = [asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL)) for _ in range(2)]
        await eventually(lambda: _is_full(inspector), what="both places are taken", timeout_seconds=20)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(inspector.inspect(path, file_name=_WHEEL)) for _ in range(10)]
            await eventually(lambda: _has_spare(inspector), what="a spare is there", timeout_seconds=20)
            assert not any(task.done() for task in waiting)
            assert len(_pids(inspector)) == 3
            for task in stuck:
                task.cancel()
        assert {task.result().name for task in waiting} == {"foo"}
        assert len(_pids(inspector)) == 1
        await asyncio.wait(stuck)


async def _is_full(inspector: DistributionInspector) -> bool:
    return inspector._slots.locked()


async def _has_spare(inspector: DistributionInspector) -> bool:
    return len(inspector._children) == 3


async def test_nothing_is_left_when_the_inspector_ends(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    async with DistributionInspector() as inspector:
        await inspector.inspect(path, file_name=_WHEEL)
        (spare,) = _pids(inspector)
    assert _is_gone(spare)
    assert not inspector._children


def test_no_child_outlives_a_killed_worker() -> None:
    program = (
        "import asyncio\n"
        "from services.worker.inspection import DistributionInspector\n"
        "async def main():\n"
        "    async with DistributionInspector() as inspector:\n"
        "        print(*(child.pid for child in inspector._children), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=_ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        spare = int(worker.stdout.readline())
        worker.kill()
    wait_for(lambda: _is_gone(spare), what="the child of a killed worker is gone", timeout_seconds=20)


async def test_a_child_has_neither_the_workers_settings_nor_room_to_do_harm(
    inspector: DistributionInspector, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pid = await _ready_spare(inspector)
    inspecting = asyncio.create_task(inspector.inspect(pipe, file_name=_WHEEL))
    await eventually(lambda: _is_limited(pid), what="the child has set its limits", timeout_seconds=20)
    process = Path(f"/proc/{pid}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (process / "limits").read_text().splitlines()}
    assert limits["Max cpu time"] == ["10", "11"]
    assert limits["Max address space"] == [str(512 * MIB)] * 2
    assert limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["16", "16"]
    assert "NoNewPrivs:\t1\n" in (process / "status").read_text()
    assert (process / "environ").read_bytes().count(b"=") == 0
    assert os.getpgid(pid) == pid
    inspecting.cancel()
    await asyncio.wait([inspecting])


async def _is_limited(pid: int) -> bool:
    return f"{512 * MIB}" in Path(f"/proc/{pid}/limits").read_text()


async def test_a_child_that_talks_without_end_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, inspector: DistributionInspector, tmp_path: Path
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    with monkeypatch.context() as planted:
        planted.setattr(inspection, "_BOOTSTRAP", "while True: print('x' * 65536)")
        await inspector.inspect(path, file_name=_WHEEL)  # Its successor is the one that talks.
    with pytest.raises(InspectionFailed, match="longer than"):
        await inspector.inspect(path, file_name=_WHEEL)
    assert (await inspector.inspect(path, file_name=_WHEEL)).name == "foo"


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise SystemExit('a broken installation')", "exit code 1: a broken installation"),
        ("", "no answer: "),
        ("print('{}')", "unknown answer: {}"),
    ],
)
async def test_a_child_that_does_not_do_its_work_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, problem: str
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(build_wheel("foo", "1.0"))
    monkeypatch.setattr(inspection, "_BOOTSTRAP", program)
    async with DistributionInspector() as inspector:
        with pytest.raises(InspectionFailed) as failure:
            await inspector.inspect(path, file_name=_WHEEL)
    assert str(failure.value) == problem
