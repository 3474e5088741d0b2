"""The process that inspections are forked from.

It has everything loaded that an inspection needs, so that a new process costs a fork and not the start of a Python. It
never looks at an archive itself.

An order comes over the control socket: one byte, and with it one end of a pair of sockets, in which the request is
waiting as a line of JSON. The child's answer goes back there. When the child has ended, its exit code follows on a line
of its own, and then the end. Who shuts his end of the pair for writing takes the order back, and the child is killed.
"""

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from services.worker.inspection_child import die_with, give_up_what_is_not_needed, inspect, limit

_MAX_REQUEST_BYTES = 64 * 1024
_MAX_OPEN_FILES = 256
_PATIENCE_SECONDS = 5.0
"""A worker that takes an exit code later than this has gone, or is about to."""


def main(control_fd: int, parent_pid: int) -> None:
    """Fork an inspection for each order until the worker closes the control socket, or is gone itself."""
    give_up_what_is_not_needed()
    die_with(parent_pid)
    limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    gc.collect()
    gc.freeze()  # Else a collection in a child would copy every page that was shared until then.
    with socket.socket(fileno=control_fd) as control:
        _Template(control).serve()


class _Template:
    """Takes orders, forks, and reaps.

    Args:
        control: where orders come from.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._orders: dict[int, socket.socket] = {}
        self._taken_back: set[int] = set()
        self._bell, ringing = socket.socketpair()
        self._bell.setblocking(False)
        ringing.setblocking(False)
        self._ringing = ringing
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ringing.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Return when no more orders will come, and kill the children that still run."""
        while True:
            waiting = {order: pid for pid, order in self._orders.items() if pid not in self._taken_back}
            ready, _, _ = select.select([self._control, self._bell, *waiting], [], [])
            for order in ready:
                if order in waiting:
                    self._taken_back.add(waiting[order])
                    os.kill(waiting[order], signal.SIGKILL)  # Not reaped yet, so the number is still its own.
            if self._bell in ready:
                self._bell.recv(4096)
                self._reap()
            if self._control in ready and not self._take_order():
                break
        for pid in self._orders:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _take_order(self) -> bool:
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not descriptors:
            return False
        order = socket.socket(fileno=descriptors[0])
        line = order.recv(_MAX_REQUEST_BYTES)  # Sent before the order was: this does not wait.
        pid = os.fork()
        if pid == 0:
            self._become_child(order, line)
        self._orders[pid] = order
        return True

    def _become_child(self, order: socket.socket, line: bytes) -> NoReturn:
        """Inspect, and end, whatever comes of it."""
        exit_code = 1
        try:
            die_with(self._pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(order.fileno(), sys.stdout.fileno())
            os.dup2(order.fileno(), sys.stderr.fileno())
            for other in (self._control, self._bell, self._ringing, order, *self._orders.values()):
                other.close()
            inspect(json.loads(line))
            exit_code = 0
        finally:
            if exit_code:
                traceback.print_exc()
            # Nothing is left to be tidied up, and nothing of the template's may be.
            os._exit(exit_code)

    def _reap(self) -> None:
        while self._orders:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._taken_back.discard(pid)
            with self._orders.pop(pid) as order, suppress(OSError):  # The worker may have gone.
                order.settimeout(_PATIENCE_SECONDS)
                order.sendall(b"\n%d" % os.waitstatus_to_exitcode(status))
