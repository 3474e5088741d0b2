"""The port to the count of failed authentications, which keeps clients from guessing secrets."""

import ipaddress
from typing import Protocol

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class FailedAttempts(Protocol):
    """Failed authentications by client address, counted by all processes together.

    A client may fail a number of times in the 60 seconds that begin with its first failure. Once it has failed more
    often, it is blocked until they are over. A client of IPv6 is its /64: whoever has one address of it has them all.

    The count is shared, the block is not: a process knows of those that it has noted itself. Another one takes part
    with the next failure that it sees, so that each process looks at no more than one secret too many.
    """

    def seconds_blocked(self, address: IpAddress) -> float:
        """Return how long this process blocks the client from now on, 0.0 when it does not.

        Asks nobody: it is asked about every request.
        """
        ...

    async def note(self, address: IpAddress) -> float:
        """Count one failure of the client; return how long it is blocked from now on, 0.0 when it is not.

        Never fails, and takes no longer than 0.2 seconds: with Redis away nobody is counted or newly blocked.
        """
        ...
