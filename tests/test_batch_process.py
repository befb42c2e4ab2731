"""One process: its limits, its ends, and what is kept of what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nights import all_gone, processes_with, wait_for
from planish.batch.process import Limits, Outcome, Task, run
from planish.batch.reasons import failure, printed

MEMORY = 1 << 30


def python(code: str, *words: str, seconds: float = 60, memory: int = MEMORY) -> Task:
    return Task((sys.executable, "-c", code, *words), Limits(seconds, memory))


def done(task: Task) -> Outcome:
    return run(task, lambda: False)


def test_a_process_that_goes_well() -> None:
    outcome = done(python("print('{\"a\": 1}')"))
    assert (outcome.code, outcome.end) == (0, "itself")
    assert printed(outcome) == {"a": 1}
    assert failure(python(""), outcome) is None


def test_variables_reach_it() -> None:
    task = Task((sys.executable, "-c", "import os; print(os.environ['X'])"), Limits(60, MEMORY), {"X": "µ"})
    assert done(task).said == "µ\n"


def test_the_time_limit_ends_it_and_says_so() -> None:
    task = python("import time; time.sleep(60)", seconds=1)
    outcome = done(task)
    assert outcome.end == "time"
    assert 1 <= outcome.seconds < 10
    why = failure(task, outcome)
    assert why and (why.reason, why.may_pass) == ("too long", False)
    assert "1 s" in why.message


def test_what_is_deaf_to_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    outcome = done(python(code, seconds=1))
    assert (outcome.end, outcome.code) == ("time", -signal.SIGKILL)
    assert outcome.seconds < 5


def test_it_ends_when_it_is_stopped() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    task = python("import time; time.sleep(60)")
    outcome = run(task, stop.is_set)
    assert outcome.end == "stopped"
    why = failure(task, outcome)
    assert why and why.reason == "stopped"


def test_the_memory_limit_raises_memory_error_in_it() -> None:
    code = "kept = []\nwhile True: kept.append(bytearray(1 << 24))"
    outcome = done(python(code, memory=300 << 20))
    assert outcome.code == 1
    assert "MemoryError" in outcome.complained
    assert outcome.peak_memory < 400 << 20


def test_peak_memory_is_about_what_it_took() -> None:
    code = "import time; kept = b'1' * (200 << 20); time.sleep(0.3)"
    assert 200 << 20 < done(python(code)).peak_memory < 260 << 20


def test_memory_that_is_only_mapped_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(4 << 30)
    code = (
        "import mmap, sys\nwith open(sys.argv[1], 'rb') as file:\n"
        "    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\nprint('fine')"
    )
    assert done(python(code, str(path), memory=300 << 20)).said == "fine\n"


def test_a_flood_of_words_fills_neither_memory_nor_disk() -> None:
    code = "import sys\nfor _ in range(150): sys.stdout.write('x' * (1 << 20)); sys.stderr.write('y' * (1 << 20))"
    outcome = done(python(code))
    assert outcome.code == 0
    assert len(outcome.said) <= 32 << 20
    assert len(outcome.complained) <= 4096
    why = failure(python(code), outcome)
    assert why and why.reason == "error"


def test_grandchildren_end_with_it() -> None:
    mark = f"grandchild-of-{os.getpid()}"
    code = (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', sys.argv[1]])"
    )
    done(python(code, mark))
    assert all_gone(mark, 1)


def test_it_dies_with_a_parent_that_is_killed() -> None:
    mark = f"child-of-{os.getpid()}"
    code = (
        "import sys; from planish.batch.process import *\n"
        "command = (sys.executable, '-c', 'import time; time.sleep(60)', sys.argv[1])\n"
        "run(Task(command, Limits(60, 1 << 30)), lambda: False)"
    )
    with subprocess.Popen([sys.executable, "-c", code, mark]) as parent:
        wait_for(lambda: len(processes_with(mark)) > 1)
        parent.kill()
    assert all_gone(mark, 2)


def test_a_command_that_is_not_there_is_a_failure_with_words() -> None:
    task = Task(("/nowhere/at/all",), Limits(60, MEMORY))
    why = failure(task, done(task))
    assert why and why.reason == "error"
    assert "/nowhere/at/all" in why.message or "No such file" in why.message


@pytest.mark.parametrize(("number", "reason", "may_pass"), [
    (signal.SIGSEGV, "crashed", False), (signal.SIGABRT, "crashed", False), (signal.SIGBUS, "crashed", False),
    (signal.SIGKILL, "killed", True), (signal.SIGTERM, "killed", True), (signal.SIGRTMIN + 1, "crashed", False),
])  # fmt: skip
def test_reasons_of_signals(number: int, reason: str, may_pass: bool) -> None:
    task = python("")
    why = failure(task, Outcome(-number, "itself", 1.0, 0, "", "Fatal: last words"))
    assert why and (why.reason, why.may_pass) == (reason, may_pass)


def test_an_abort_for_want_of_memory_is_told_as_such() -> None:
    why = failure(python(""), Outcome(-signal.SIGABRT, "itself", 1.0, 0, "", "GLib: failed to allocate 99 bytes"))
    assert why and why.reason == "memory"


@pytest.mark.parametrize(("kind", "number", "code", "reason", "may_pass"), [
    ("UnsupportedSlide", None, 1, "not supported", False), ("TileError", None, 1, "damaged", False),
    ("MemoryError", None, 1, "memory", False), ("OptionError", None, 2, "options", False),
    ("WriteError", 28, 75, "no space", True), ("TileError", 5, 75, "input/output", True),
    ("ZeroDivisionError", None, 1, "error", False),
])  # fmt: skip
def test_reasons_of_errors_that_were_told(
    kind: str, number: int | None, code: int, reason: str, may_pass: bool
) -> None:
    said = json.dumps({"error": {"kind": kind, "message": "words", "errno": number}})
    why = failure(python(""), Outcome(code, "itself", 1.0, 0, said, ""))
    assert why and (why.reason, why.may_pass) == (reason, may_pass)


@pytest.mark.parametrize("said", ["", "nonsense", "[1]", "{}" * 3, "[" * 100_000, '{"error": 3}', '{"error": {}}'])
def test_nonsense_on_stdout_is_a_failure_and_no_more(said: str) -> None:
    why = failure(python(""), Outcome(1, "itself", 1.0, 0, said, ""))
    assert why and why.reason == "error"


def test_what_ended_well_in_the_moment_of_the_limit_has_ended_well() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('{\"a\": 1}', flush=True), sys.exit(0)))\n"
        "time.sleep(60)"
    )
    task = python(code)
    begun = time.monotonic()
    outcome = run(task, stop.is_set)
    assert time.monotonic() - begun < 10
    assert outcome.code == 0
    assert failure(task, outcome) is None
