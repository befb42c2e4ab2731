"""Damage at random, from fixed seeds: flattening works or fails in one line, and leaves nothing when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants import KINDS, mutants, small_slide
from planish.cli import main


@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_ends_in_a_traceback(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    slide, out, codes = small_slide(tmp_path, kind), tmp_path / "out", []
    out.mkdir()
    for path in mutants(slide, 120, seed=1):
        codes.append(main(["flatten", str(path), str(out / "flat.tif"), "--quiet", "--jobs", "1"]))
        said = capfd.readouterr()
        assert codes[-1] in (0, 1), said.err
        assert not said.out
        assert len(said.err.splitlines()) == codes[-1], said.err
        assert bool(codes[-1]) != any(out.iterdir())
        for left in out.iterdir():
            left.unlink()
    assert {*codes} == {0, 1}
