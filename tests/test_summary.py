"""What the summary says of composed cells: as much as there is in the record, without zeros and "1 cells"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from makers import container, make_stack
from planish.cli import main
from planish.cli.summary import composed_lines

Say = pytest.CaptureFixture[str]


def facts(copied: int = 0, fused: int = 0, ramped: int = 0, corrected: int = 0, overlapping: int = 0) -> dict[str, Any]:
    return {
        "cells_copied": copied,
        "cells_fused": fused,
        "cells_ramped": ramped,
        "cells_corrected": corrected,
        "cells_with_two_planes_sharp": [[0, column] for column in range(overlapping)],
    }


@pytest.mark.parametrize(
    ("composed", "said"),
    [
        (facts(copied=1), ["composed  hybrid, 1 cell: 1 copied"]),
        (facts(copied=64), ["composed  hybrid, 64 cells: 64 copied"]),
        (facts(fused=2), ["composed  hybrid, 2 cells: 2 fused"]),
        (facts(copied=4, ramped=60), ["composed  hybrid, 64 cells: 4 copied, 60 blended at their borders"]),
        (
            facts(26, 37, 1, corrected=11, overlapping=32),
            [
                "composed  hybrid, 64 cells: 26 copied, 37 fused, 1 blended at their borders",
                "          11 cells got a sharper plane than the survey's",
                "          in 32 of the cells fused, planes that lie apart are sharp at once",
            ],
        ),
        (
            facts(1, 1, corrected=1, overlapping=1),
            [
                "composed  hybrid, 2 cells: 1 copied, 1 fused",
                "          1 cell got a sharper plane than the survey's",
                "          in 1 of the cells fused, planes that lie apart are sharp at once",
            ],
        ),
        (
            {"cells_copied": 6, "why_no_more": "one plane only"},
            ["composed  hybrid: all cells copied; one plane only"],
        ),
    ],
    ids=["one", "all copied", "all fused", "blended", "all kinds", "one each", "one plane"],
)
def test_what_was_done_is_said_without_zeros(composed: dict[str, Any], said: list[str]) -> None:
    assert composed_lines("hybrid", composed) == said


@pytest.mark.parametrize(
    ("arguments", "said", "kept"),
    [
        ([], "composed  hybrid, 6 cells: 6 fused\n", {"cells_copied", "cells_fused", "cells_with_two_planes_sharp"}),
        (["--planes=1:2"], "composed  hybrid: all cells copied; one plane only\n", {"cells_copied", "why_no_more"}),
        (["--fuse", "feather"], "composed  feather, 6 cells: 6 blended at their borders\n", {"cells_ramped"}),
    ],
    ids=["hybrid", "one plane", "feather"],
)
def test_summary_and_json_tell_the_same(
    arguments: list[str], said: str, kept: set[str], tmp_path: Path, capsys: Say
) -> None:
    source = str(container(tmp_path, make_stack(), codec="deflate"))
    assert main(["flatten", source, str(tmp_path / "a.tif"), *arguments]) == 0
    assert said in capsys.readouterr().out
    assert main(["flatten", source, str(tmp_path / "b.tif"), *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["output"]["composed"]
    assert kept <= set(told)
    assert sum(count for name, count in told.items() if name in {"cells_copied", "cells_fused", "cells_ramped"}) == 6


@pytest.mark.parametrize("method", ["select", "soft"])
def test_methods_that_decide_nothing_by_cells_say_nothing_of_them(method: str, tmp_path: Path, capsys: Say) -> None:
    source = str(container(tmp_path, make_stack(), codec="deflate"))
    assert main(["flatten", source, str(tmp_path / "a.tif"), "--fuse", method]) == 0
    said = capsys.readouterr().out
    assert "composed" not in said
    assert ("fused     soft(" in said) == (method == "soft")


def test_warnings_are_said_and_recorded_alike(tmp_path: Path, capsys: Say) -> None:
    one, four = (str(container(tmp_path, make_stack(planes), kind=kind)) for planes, kind in ((1, "svs"), (4, "ndpi")))
    assert main(["flatten", one, str(tmp_path / "one.tif")]) == 0
    assert "\nwarning   one plane only: there was nothing to choose\n" in capsys.readouterr().out
    assert main(["flatten", four, str(tmp_path / "four.tif"), "--fuse", "select"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    told = json.loads((tmp_path / "four.record.json").read_text(encoding="utf-8"))["output"]["warnings"]
    assert said == [f"warning   {warning}" for warning in told]
