"""Nights for the tests of the batch: folders of tiny slides, poison, and a flatten that only pretends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from makers import container, make_stack
from planish.batch import command, ledger
from planish.batch.entry import Entry, State
from planish.batch.events import Event
from planish.batch.ledger import Ledger
from planish.batch.names import NameTable
from planish.batch.night import Ending, run_night
from planish.batch.options import BatchOptions
from planish.convert import ConvertOptions, convert
from planish.slide.open import open_slide

SIDES = ("tif", "map.json", "record.json", "heatmap.png")
POISON = """
import importlib.util, os, sys, time

class Finder:
    # Misbehaves where it would happen, in the middle of writing. Nothing of planish is imported for it earlier.
    def find_spec(self, name, path=None, target=None):
        if name != "planish.convert":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def poisoned(module):
            execute(module)
            convert = module.convert
            def misbehaving(source, output, *rest):
                kind = source.name.split("-")[0]
                if kind not in KINDS:
                    return convert(source, output, *rest)
                from planish.files import replacing
                with replacing(output, overwrite=True) as temporary:
                    temporary.write_bytes(b"half")
                    KINDS[kind]()
            module.convert = misbehaving
        spec.loader.exec_module = poisoned
        return spec

def segfault():
    import ctypes
    ctypes.string_at(0)

def memory():
    taken = []
    while True:
        taken.append(bytearray(16 << 20))

def deaf():
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)

def error():
    raise RuntimeError(f"a fault of the program in {sys.argv[2]}")

KINDS = {"segfault": segfault, "kill": lambda: os.kill(os.getpid(), 9), "abort": os.abort,
         "hang": lambda: time.sleep(3600), "deaf": deaf, "memory": memory, "exception": error}
if b"flatten" in open("/proc/self/cmdline", "rb").read().split(b"\\0"):
    sys.meta_path.insert(0, Finder())
"""
"""A `sitecustomize`: `planish flatten` of a slide that is called after one of these kinds ends so."""

PRETENCE = """
import json, os, shutil, sys, time

model, verb, source, flat, *_ = sys.argv[1:]
with open(source, "rb") as file:
    text = file.read(65536)
told = json.loads(text) if text.startswith(b"{") else {}
time.sleep(told.get("sleep", 0))
if "error" in told:
    print(json.dumps({"error": told["error"]}))
    sys.exit(told.get("code", 1))
if verb == "flatten":
    for side in ("map.json", "record.json", "heatmap.png", "tif"):
        output = flat.removesuffix("tif") + side
        temporary = os.path.join(os.path.dirname(flat), ".planish-" + os.environ["PLANISH_TAG"] + "-" + side)
        shutil.copyfile(model + "." + side, temporary)
        os.replace(temporary, output)
    with open(model + ".record.json") as file:
        print(file.read())
else:
    print("{}")
"""
"""Does what `planish flatten --json` does, but copies the outputs; the source may hold what to do instead."""


def tiny(path: Path, *, seed: int = 2) -> Path:
    """Write a slide of two planes; `seed` makes another one."""
    made = container(path.parent, make_stack(seed)[:2, :192, :256], kind="svs")
    return made.rename(path)


def model(folder: Path) -> Path:
    """Flatten a tiny slide for `Lab` to pretend with; return what its outputs are called, without suffixes."""
    convert(tiny(folder / "model.svs"), folder / "model.tif", ConvertOptions(heatmap=folder / "model.heatmap.png"))
    return folder / "model"


def failing(kind: str, code: int = 1, number: int | None = None) -> dict[str, Any]:
    """Return what a slide holds for which a pretended flatten fails."""
    return {"error": {"kind": kind, "message": f"{kind} was said", "errno": number}, "code": code}


def lines_of_log(output: Path) -> list[dict[str, Any]]:
    """Return all events that were logged."""
    path = output / "planish-batch.log"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def mtimes(output: Path) -> dict[Path, int]:
    """Return when the outputs of slides were written."""
    return {path: path.stat().st_mtime_ns for path in output.rglob("*.flat.*")}


def temporary_files(folder: Path) -> list[Path]:
    """Return what was left of unfinished files."""
    return sorted(folder.rglob(".planish-*"))


def read_whole(output: Path) -> None:
    """Read all outputs of a folder from end to end; fails where one is not whole."""
    for path in output.rglob("*.flat.tif"):
        with open_slide(path) as slide:
            for level, size in enumerate(slide.levels):
                slide.read_region(level, 0, 0, 0, size.width, size.height)
    for path in output.rglob("*.flat.*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in output.rglob("*.flat.heatmap.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def processes_with(text: str) -> list[int]:
    """Return the processes that were started with a text in their command, this one apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
    return found


def all_gone(text: str, within: float) -> bool:
    """Whether all processes with a text in their command end within so many seconds."""
    deadline = time.monotonic() + within
    while processes_with(text) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes_with(text)


def wait_for(what: Any, within: float = 30.0) -> None:
    """Wait until a function returns something true."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Lab:
    """A folder with scans, one for flat slides, and nights within this process.

    With a model, children only pretend to flatten.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch | None = None, pretend: Path | None = None):
        self.source, self.output, self.folder = folder / "in", folder / "out", folder
        self.source.mkdir()
        self.events: list[Event] = []
        if pretend and monkeypatch:
            monkeypatch.setattr(command, "_PLANISH", self.pretence(pretend))

    def pretence(self, pretend: Path) -> tuple[str, ...]:
        """Return what children run instead of planish."""
        script = self.folder / "pretend.py"
        script.write_text(PRETENCE, encoding="utf-8")
        return sys.executable, "-IS", str(script), str(pretend)

    def scan(self, name: str, content: bytes | dict[str, Any] | None = None) -> Path:
        """Put a slide into the folder: a real one, or what is given."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            return tiny(path)
        path.write_bytes(json.dumps(content).encode() if isinstance(content, dict) else content)
        return path

    def night(self, *, stop: threading.Event | None = None, listener: Any = None, **options: Any) -> Ending:
        """Run a night; `events` are told anew."""
        self.events = []
        chosen = BatchOptions(**{"jobs": 2, "reserve": 0, "retry_wait": 0.0, **options})
        listeners = [self.events.append, *([listener] if listener else [])]
        return run_night(self.source, self.output, chosen, listeners, stop or threading.Event())

    def told(self, kind: str) -> list[str]:
        """Return the names of the slides of all events of a kind."""
        return [event.name for event in self.events if event.kind == kind]

    def entries(self, names: Path | None = None) -> dict[str, Entry]:
        """Return what the ledger knows, by source."""
        with Ledger(self.output / ledger.NAME, NameTable(names, self.output) if names else None) as book:
            sources = book.sources()
            return {str(sources[entry.id]): entry for entry in book.entries()}

    def states(self) -> dict[str, State]:
        """Return the states, by source."""
        return {name: entry.state for name, entry in self.entries().items()}

    def change(self, name: str, **columns: Any) -> None:
        """Change a slide in the ledger."""
        number = self.entries()[name].id
        with Ledger(self.output / ledger.NAME) as book:
            book.change(number, **columns)

    @cached_property
    def environment(self) -> dict[str, str]:
        """An environment in which poison works."""
        site = self.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(POISON, encoding="utf-8")
        return {**os.environ, "PYTHONPATH": str(site)}

    def arguments(self, *options: str) -> list[str]:
        """Return the words after `planish`."""
        return ["batch", str(self.source), str(self.output), "--reserve=0", "--retry-wait=0", "--jobs=2", *options]

    def batch(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `planish batch` to its end, as a process with poison."""
        command = [sys.executable, "-m", "planish.cli", *self.arguments(*options)]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)

    @contextlib.contextmanager
    def begun(self, *options: str, pretend: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """Begin `planish batch` as a process with poison; it is killed where the block leaves it."""
        code = "import sys, planish.batch.command as command\n"
        if pretend:
            code += f"command._PLANISH = {self.pretence(pretend)!r}\n"
        code += "from planish.cli import main\nsys.exit(main())"
        with subprocess.Popen(
            [sys.executable, "-c", code, *self.arguments(*options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)

    def logged(self, kind: str) -> list[str]:
        """Return the names of slides in the log, of all nights."""
        return [line.get("name", "") for line in lines_of_log(self.output) if line["event"] == kind]

    def copy_scan(self, original: Path, name: str) -> Path:
        """Put a copy of a file into the folder."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, path)
        return path
