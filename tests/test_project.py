"""What holds the house together: imports run one way, public names and allowed skips are pinned, files stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import planish
import skips

SOURCE = Path(planish.__file__).parent

ROOMS = [
    ("_version", "errors"),
    ("encoding", "focus.measures"),
    ("jpeg",),
    ("model",),
    ("files", "jsonfields", "memory", "outputs", "planemap", "recipe", "threads"),
    ("slide",),
    ("focus",),
    ("fuse",),
    ("write",),
    ("report",),
    ("convert",),
    ("imagestack", "pictures", "stackfiles", "stackoptions", "verification"),
    ("phantom",),
    ("batch",),
    ("lightsheet",),
    ("serve",),
    ("cli",),
]
"""From left to right as the data flows; a module imports from its own room and those before it."""


def room(module: str) -> int:
    """Return the number of the room that a module, named from planish on, stands in."""
    fitting = [
        (len(name), index)
        for index, names in enumerate(ROOMS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    assert fitting, f"{module} stands in no room: give it one in ROOMS"
    return max(fitting)[1]


def imports(path: Path) -> set[str]:
    """Return the modules of planish that a file imports, wherever in it, but not only for the type checker."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "planish":
            base = node.module
            for alias in node.names:
                inner_path = SOURCE.joinpath(*base.split(".")[1:], alias.name)
                is_module = inner_path.with_suffix(".py").exists() or inner_path.is_dir()
                found.add(f"{base}.{alias.name}" if is_module else base)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "planish"}
    return {name.removeprefix("planish").removeprefix(".") for name in found}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def test_imports_run_one_way() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if module
        for imported in imports(path)
        if room(imported) > room(module)
    ]
    assert not wrong


def test_stages_never_print_or_parse() -> None:
    for module, path in modules().items():
        text = path.read_text(encoding="utf-8")
        if not module.startswith("cli"):
            assert "print(" not in text, f"{module} prints"
            assert "argparse" not in text, f"{module} parses options"


def test_public_names() -> None:
    assert planish.__all__ == [
        "FuseOptions",
        "PlaneMap",
        "PlanishError",
        "Slide",
        "SurveyOptions",
        "WriteOptions",
        "__version__",
        "flatten",
        "fuse_stack",
        "open_slide",
        "survey",
        "write",
    ]


def test_allowed_skips() -> None:
    assert list(skips.ALLOWED) == [
        "not in PLANISH_TEST_DATA",
        "Bio-Formats needs Java",
        "no Chromium",
        "no GPU for CuPy",
    ]


def test_files_stay_small() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert max(lengths.values()) <= 300, {module: length for module, length in lengths.items() if length > 300}


def test_importing_planish_is_light() -> None:
    heavy = ["cupy", "matplotlib", "openslide", "pyvips", "scipy.stats"]
    code = f"import sys, planish; print([module for module in {heavy} if module in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_links_in_the_docs_lead_somewhere() -> None:
    root = SOURCE.parents[1]
    for page in (root / "README.md", root / "CHANGELOG.md", *(root / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"
