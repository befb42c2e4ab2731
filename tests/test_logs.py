"""What libraries log never reaches the user's terminal: in processes of their own, where pytest does not listen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mutants import KINDS, mutants, small_slide

_EACH = """
import sys
from planish.cli import main
for path in sys.argv[2:]:
    print("code", main(["flatten", path, sys.argv[1], "--quiet", "--jobs", "1", "--overwrite"]), file=sys.stderr)
"""


def run(*arguments: str) -> tuple[int, list[str]]:
    """Run Python and return its exit code and the lines on stderr."""
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert not ended.stdout
    return ended.returncode, ended.stderr.splitlines()


def test_a_cut_svs_is_one_line(tmp_path: Path) -> None:
    slide = small_slide(tmp_path, "svs")
    slide.write_bytes(slide.read_bytes()[: slide.stat().st_size * 9 // 10])
    code, said = run("-m", "planish.cli", "flatten", str(slide), str(tmp_path / "out.tif"), "--quiet")
    assert code == 1
    assert len(said) == 1
    assert str(slide) in said[0]


def test_success_is_silent(tmp_path: Path) -> None:
    slide = small_slide(tmp_path, "svs")
    assert run("-m", "planish.cli", "flatten", str(slide), str(tmp_path / "out.tif"), "--quiet") == (0, [])


def test_damage_is_one_line_each(tmp_path: Path) -> None:
    paths = []
    for kind in KINDS:
        slide = small_slide(tmp_path, kind)
        for index, mutant in enumerate(mutants(slide, 8, seed=2)):
            paths.append(str(mutant.rename(tmp_path / f"{kind}-{index}{''.join(mutant.suffixes)}")))
    code, said = run("-c", _EACH, str(tmp_path / "out.tif"), *paths)
    assert code == 0, said
    ends = [index for index, line in enumerate(said) if line.startswith("code ")]
    assert len(ends) == len(paths)
    assert {said[end] for end in ends} == {"code 0", "code 1"}
    for first, end in zip([0, *(end + 1 for end in ends)], ends, strict=False):
        lines = said[first:end]
        assert len(lines) == int(said[end].removeprefix("code ")), lines
        assert all(line.startswith("planish: ") for line in lines)
