"""The `planish` command: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from planish.cli.parser import build_parser
from planish.errors import OptionError, PlanishError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns
    -------
    int
        0 done, 1 failed with one line on stderr, 2 wrong usage, 130 interrupted.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except PlanishError as error:
        print(f"planish: {error}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except (OSError, MemoryError) as error:
        print(f"planish: {error or 'out of memory; use fewer --jobs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("planish: interrupted; no output was written", file=sys.stderr)
        return 130
    return 0
