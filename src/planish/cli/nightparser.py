"""The options of `planish batch` and `planish batch-status`."""

from __future__ import annotations

import argparse
from pathlib import Path

from planish.cli import values

SETTLE_S = 30.0


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add what a night takes beside the options of `planish flatten`."""
    parser.add_argument("source", type=Path, metavar="IN", help="folder with scanner exports, searched in depth")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for flat slides, ledger and report")
    group = parser.add_argument_group("the night")
    group.add_argument(
        "--pattern", action="append", default=[], metavar="GLOB", help="take only slides whose path or name fits, e.g. "
        "'*.ndpi'; may be repeated",
    )  # fmt: skip
    group.add_argument("--jobs", type=int, default=0, metavar="N", help="slides at once (as cores and memory allow)")
    group.add_argument(
        "--watch", type=float, nargs="?", const=SETTLE_S, metavar="SECONDS",
        help=f"go on, and take new slides once they have not grown for so long ({SETTLE_S:.0f}) and can be opened",
    )  # fmt: skip
    group.add_argument("--recheck", action="store_true", help="hash and verify in full what is done")
    group.add_argument("--retry-failed", action="store_true", help="try again what failed in an earlier night")
    group.add_argument("--overwrite", action="store_true", help="replace flat slides that are none of this ledger's")
    group.add_argument("--retries", type=int, default=2, metavar="N", help="of what may pass by itself (2)")
    group.add_argument(
        "--retry-wait",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="before the first; four times as long each (15)",
    )
    limit, reserve = (
        "of one slide, e.g. 8G (4G and ¼ of its size)",
        "stays free on OUT's disk, or the night pauses (1G)",
    )
    group.add_argument("--time-limit", type=float, metavar="SECONDS", help="of one slide (600 and 2 for each MB)")
    group.add_argument("--memory-limit", type=values.size, metavar="SIZE", help=limit)
    group.add_argument("--reserve", type=values.size, default=1 << 30, metavar="SIZE", help=reserve)
    group.add_argument(
        "--deid-names",
        type=Path,
        metavar="TABLE.csv",
        help="number outputs, keep the table of names there",
    )
    group.add_argument("--cluster", metavar="ADDRESS", help="work on the Dask cluster of that scheduler")
    group.add_argument("--json", action="store_true", help="print how it ended as JSON")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add what looking at a night takes."""
    parser.add_argument("output", type=Path, metavar="OUT", help="output folder of planish batch")
    parser.add_argument("--json", action="store_true", help="print JSON, with every slide")
