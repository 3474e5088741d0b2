"""Why `larder serve` could not start or go on: for the operator, and not for clients of the registry."""


class StartFailed(Exception):
    """Something on this machine stands in the way.

    Args:
        problem: one line for the operator that says what, and what to do about it.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class ChildRefused(Exception):
    """A child ends with "bad settings" each time it is started.

    Args:
        name: which child, as `ps` names it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
