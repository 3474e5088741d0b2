"""A soak judges growth by these: what leaks is told, what only warms up is not."""

import os
import subprocess
import sys

import pytest

from tests.faults.growth import Sample, Samples

_MIB = 1024 * 1024


def _samples(memory: list[int], descriptors: list[int]) -> Samples:
    samples = Samples()
    samples.judged["larder api"] = [
        Sample(at=2.0 * number, pid=7, resident_bytes=size * _MIB, descriptors=count)
        for number, (size, count) in enumerate(zip(memory, descriptors, strict=True))
    ]
    return samples


def test_what_warms_up_and_then_wavers_levels_off() -> None:
    samples = _samples(
        [60, 70, 90, 99, 101, 100, 102, 99, 103, 100, 101, 100], [9, 12, 20, 22, 21, 25, 22, 21, 24, 23, 22, 21]
    )

    assert samples.growth() == []


@pytest.mark.parametrize(
    ("memory", "descriptors", "told"),
    [
        (list(range(100, 136, 3)), [20] * 12, "the memory of larder api grew from 116 to 128 MiB"),
        ([100] * 12, list(range(20, 56, 3)), "the descriptors of larder api grew from 41 to 53"),
    ],
)  # fmt: skip
def test_what_goes_on_growing_is_told(memory: list[int], descriptors: list[int], told: str) -> None:
    assert _samples(memory, descriptors).growth() == [told]


def test_a_process_that_was_hardly_seen_is_not_judged_well() -> None:
    assert _samples([100] * 3, [20] * 3).growth() == ["larder api did not live long enough to be judged: 3 samples"]


def test_a_process_that_has_died_and_is_still_listed_is_gone() -> None:
    with subprocess.Popen((sys.executable, "-c", "")) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        with pytest.raises(ProcessLookupError):
            Samples().take("larder api", process.pid, counts=True)
