"""The tables of the benchmarks: medians, ratios and verdicts."""

import pytest

from benchmarks.figures import Figure, median
from benchmarks.growth.registry import Size
from benchmarks.growth.table import render_growth
from benchmarks.rows import ROWS, Goal, Row
from benchmarks.table import number, render, render_comparison, verdict

RATE = Row(
    "rate", "small page", "req/s", "rate", more_is_better=True, goal=Goal(of_base=True, target=0.5, moonshot=1.0)
)
COST = Row("cost", "upload", "s", "cost", more_is_better=False, goal=Goal(of_base=True, target=3.0, moonshot=2.0))
ABSOLUTE = Row("memory", "memory", "MB", "start", more_is_better=False, goal=Goal(of_base=False, target=70))


def test_a_median_is_that_of_each_part_for_itself() -> None:
    rounds = [Figure(3, cpu_each=1), Figure(1, cpu_each=2), Figure(2, cpu_each=9)]
    assert median(rounds) == Figure(2, cpu_each=2)


def test_a_part_that_a_round_does_not_tell_is_left_out_of_the_median() -> None:
    assert median([Figure(1, memory=5), Figure(3)]) == Figure(2, memory=5)


@pytest.mark.parametrize(
    ("row", "own", "base", "told"),
    [
        (RATE, 100, 100, "moonshot"),
        (RATE, 50, 100, "met"),
        (RATE, 49, 100, "**missed**"),
        (RATE, 49, None, "-"),
        (COST, 2, 1, "moonshot"),
        (COST, 3, 1, "met"),
        (COST, 3.1, 1, "**missed**"),
        (ABSOLUTE, 70, None, "met"),
        (ABSOLUTE, 71, 10, "**missed**"),
    ],
)
def test_a_verdict_compares_what_the_goal_is_about(row: Row, own: float, base: float | None, told: str) -> None:
    assert verdict(row, Figure(own), None if base is None else Figure(base)) == told


def test_nothing_is_said_of_what_was_not_measured() -> None:
    assert verdict(ABSOLUTE, None, Figure(1)) == "-"


@pytest.mark.parametrize(
    ("value", "told"), [(None, "-"), (0.345, "0.34"), (12.34, "12.3"), (123.4, "123"), (74014.2, "74,014")]
)
def test_numbers_have_about_three_digits(value: float | None, told: str) -> None:
    assert number(value) == told


def test_the_table_has_a_line_for_each_row_that_was_measured() -> None:
    medians = {
        ("rate", "nginx"): Figure(200.0, cpu_each=20e-6, memory=8 << 20, generator_cores=0.5),
        ("rate", "Larder"): Figure(100.0, cpu_each=50e-6, memory=64 << 20, generator_cores=0.25),
        ("rate", "peer"): Figure(5.0),
    }
    table = render((RATE, COST), medians, ["nginx", "Larder", "peer"], base="nginx", subject="Larder")
    assert table.splitlines()[2:] == [
        "| small page, req/s | 200 | 100 | 5.00 | 0.50 | 0.5x | 1x | met | 20.0 | 50.0 | 8.00 | 64.0 | 0.50 | 0.25 |"
    ]


def test_all_lines_of_a_table_have_as_many_cells() -> None:
    medians = {(row.key, server): Figure(1.0) for row in ROWS for server in ("nginx", "Larder")}
    tables = [
        render(ROWS, medians, ["nginx", "Larder"], base="nginx", subject="Larder"),
        render_comparison(ROWS, medians, ["nginx", "Larder"]),
    ]
    for table in tables:
        lines = table.splitlines()
        assert len(lines) == len(ROWS) + 2
        assert len({line.count("|") for line in lines}) == 1


def test_two_commits_are_compared_by_the_second_as_a_part_of_the_first() -> None:
    table = render_comparison((RATE,), {("rate", "a"): Figure(100.0), ("rate", "b"): Figure(150.0)}, ["a", "b"])
    assert table.splitlines()[2].startswith("| small page, req/s | 100 | 150 | 1.50 | more is better |")


def test_growth_is_the_largest_registry_by_the_smallest() -> None:
    found = {("page", "anew"): [[1.0, 2.0, 9.0], [3.0, 3.0, 3.0]]}
    assert render_growth(found, [Size(1_000, 1, 10), Size(100_000, 1_000, 10_000)]).splitlines()[2:] == [
        "| ms | 1,000 / 1 / 10 | 100,000 / 1,000 / 10,000 | last / first |",
        "| --- | ---: | ---: | ---: |",
        "| page, anew | 2.00 | 3.00 | 1.50 |",
    ]
