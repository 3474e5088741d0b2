"""Who decides whether names that were never here are looked for upstream: a pure function over what each level says."""

from collections.abc import Iterable

from shared.models import ForwardingRule, InstanceSettings


def forwards_unknown_names(settings: InstanceSettings, rules: Iterable[ForwardingRule]) -> bool:
    """Return what holds at the end of the chain: of the levels up to the first that locks, the last that decides.

    Args:
        rules: of the namespaces from the top level down to the one in question.

    Source: contract, PyPI 8.3; GitLab's cascading namespace settings.
    """
    is_on = settings.pypi_package_requests_forwarding
    if settings.lock_pypi_package_requests_forwarding:
        return is_on
    for rule in rules:
        if rule.is_on is not None:
            is_on = rule.is_on
        if rule.is_locked:
            break
    return is_on
