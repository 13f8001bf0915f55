"""Runs a command that does not outlive the process which started it: `python -S tether.py PARENT_PID COMMAND …`.

The tie is made in this single-threaded process and lasts through `exec`, so that nobody needs a `preexec_fn`. Where the
kernel has no such tie, the command runs without one.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before the tie was there
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the stack's own table of commands


if __name__ == "__main__":
    main()
