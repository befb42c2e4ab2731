"""`import planish` is at once done, and its names are what they were, whatever is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

import planish


def python(code: str) -> str:
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert not ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("module", ["planish", "planish.cli"])
def test_the_command_is_in_charge_before_anything_large_is_imported(module: str) -> None:
    large = ["cv2", "numpy", "pyvips", "scipy", "tifffile"]
    assert python(f"import sys, {module}; print([name for name in {large} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "first",
    [
        "import planish",
        "import planish.write",
        "import planish.write.output",
        "from planish.write import output",
        "from planish.write.output import write",
        "from planish import *",
        "from planish import flatten, survey",
        "import importlib; importlib.import_module('planish.write.depthmap')",
        "import planish; planish.write; import planish.write.output",
        "import threading; threads = [threading.Thread(target=__import__, args=(name,)) for name in"
        " ('planish.write.output', 'planish.convert', 'planish.write')]; [t.start() for t in threads];"
        " [t.join() for t in threads]",
    ],
)
def test_write_is_the_function_and_its_package_stays_importable(first: str) -> None:
    code = f"""
{first}
import planish, sys
from planish import write
from planish.write import output
from planish.write.encode import choose_encoder
assert planish.write is write is output.write
assert sys.modules["planish.write"].output is output
import planish.write
assert planish.write is write
print("as it was")
"""
    assert python(code) == "as it was"


def test_all_names_are_there_and_listed() -> None:
    assert {*planish.__all__} <= {*dir(planish)}
    assert all(getattr(planish, name).__name__ == name for name in planish.__all__ if name != "__version__")
    assert python("import planish; print({*planish.__all__} <= {*dir(planish)})") == "True"


def test_unknown_names_are_no_attributes() -> None:
    assert not hasattr(planish, "flattened")
    with pytest.raises(AttributeError, match="'planish' has no attribute 'flattened'"):
        planish.flattened  # type: ignore[attr-defined]  # noqa: B018


def test_names_can_be_replaced_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    written = planish.write
    with monkeypatch.context() as patch:
        patch.setattr(planish, "write", print)
        assert planish.write is print  # type: ignore[comparison-overlap]
    assert planish.write is written
