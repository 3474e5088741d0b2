"""Who decides about forwarding, from the instance down to the namespace in question."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.forwarding import forwards_unknown_names
from shared.models import ForwardingRule, InstanceSettings

WORDS = {
    "on": ForwardingRule(is_on=True, is_locked=False),
    "off": ForwardingRule(is_on=False, is_locked=False),
    "inherit": ForwardingRule(is_on=None, is_locked=False),
    "on!": ForwardingRule(is_on=True, is_locked=True),
    "off!": ForwardingRule(is_on=False, is_locked=True),
    "inherit!": ForwardingRule(is_on=None, is_locked=True),
}
"""What a level says; with a lock where it is shouted."""


def settings_of(word: str) -> InstanceSettings:
    rule = WORDS[word]
    return InstanceSettings(
        pypi_package_requests_forwarding=bool(rule.is_on), lock_pypi_package_requests_forwarding=rule.is_locked
    )


@pytest.mark.parametrize(
    ("instance", "levels", "expected"),
    [
        # Nobody but the instance says anything.
        ("off", "inherit", False),
        ("on", "inherit", True),
        ("off", "inherit inherit inherit", False),
        ("on", "inherit inherit inherit", True),
        # The namespace's own choice, else that of the nearest ancestor that made one.
        ("off", "on", True),
        ("on", "off", False),
        ("off", "on inherit", True),
        ("off", "off on", True),
        ("on", "on off", False),
        ("off", "on off inherit", False),
        ("on", "off on inherit", True),
        ("off", "on inherit off", False),
        # A group's lock is for what lies below it, not for itself.
        ("off", "on!", True),
        ("on", "off!", False),
        ("on", "on off!", False),
        # A lock above wins, over other locks too.
        ("off", "on! off", True),
        ("on", "off! on", False),
        ("on", "off! on!", False),
        ("off", "on! off! on", True),
        ("off", "on off! on", False),
        # Who locks without a choice locks what reaches it from above.
        ("off", "inherit! on", False),
        ("on", "inherit! off", True),
        ("off", "on inherit! off", True),
        # The instance's lock wins over all.
        ("off!", "on", False),
        ("off!", "on! on!", False),
        ("on!", "off", True),
        ("on!", "off! off!", True),
    ],
)
def test_the_nearest_choice_counts_unless_it_is_locked_above(instance: str, levels: str, *, expected: bool) -> None:
    rules = tuple(WORDS[word] for word in levels.split())

    assert forwards_unknown_names(settings_of(instance), rules) is expected


def test_nothing_is_forwarded_unless_somebody_says_so() -> None:
    assert forwards_unknown_names(InstanceSettings(), [WORDS["inherit"], WORDS["inherit!"]]) is False


RULES = st.lists(st.sampled_from(list(WORDS.values())), max_size=20)
SETTINGS = st.sampled_from(["on", "off", "on!", "off!"]).map(settings_of)


@given(instance=SETTINGS, above=RULES, below=RULES, other=RULES, own=st.sampled_from(list(WORDS.values())))
def test_nothing_below_a_lock_changes_what_holds(
    instance: InstanceSettings,
    above: list[ForwardingRule],
    below: list[ForwardingRule],
    other: list[ForwardingRule],
    own: ForwardingRule,
) -> None:
    locked = [*above, replace(own, is_locked=True)]

    holds = forwards_unknown_names(instance, locked)
    assert forwards_unknown_names(instance, [*locked, *below]) is holds
    assert forwards_unknown_names(instance, [*locked, *other]) is holds


@given(instance=SETTINGS, rules=RULES, other=RULES)
def test_nothing_changes_what_a_locked_instance_says(
    instance: InstanceSettings, rules: list[ForwardingRule], other: list[ForwardingRule]
) -> None:
    locked = replace(instance, lock_pypi_package_requests_forwarding=True)

    assert forwards_unknown_names(locked, rules) is locked.pypi_package_requests_forwarding
    assert forwards_unknown_names(locked, other) is locked.pypi_package_requests_forwarding


@given(instance=SETTINGS, rules=RULES)
def test_it_is_on_only_where_somebody_turned_it_on(instance: InstanceSettings, rules: list[ForwardingRule]) -> None:
    if forwards_unknown_names(instance, rules):
        assert instance.pypi_package_requests_forwarding or any(rule.is_on for rule in rules)
