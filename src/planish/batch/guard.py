"""A program of its own: runs a command that dies with its parent and takes no more memory than it may.

``python guard.py PARENT MEMORY COMMAND…``. It becomes the command, so limits and the death signal stay with it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, memory: int, command: list[str]) -> None:
    """Become `command`; `parent` is who must be alive, `memory` what may be taken, in bytes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os._exit(-signal.SIGKILL & 0xFF)
    # Not the address space: a slide that is mapped, and stacks that are only reserved, cost no memory.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    least = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (least, least))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
