"""Poison: Python imports this at its start where PYTHONPATH says so, and it kills what works on a file of its name.

``poison-segfault-3.svs`` ends the process by SIGSEGV, and so on; nothing in planish knows of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time


def _hang() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def _spin() -> None:
    while True:
        pass


def _eat() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


def _raise() -> None:
    # Later, from within planish, as a fault of its own would come.
    import importlib.abc

    class Faulty(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "planish.focus.survey":
                raise ZeroDivisionError("a fault of planish")

    sys.meta_path.insert(0, Faulty())


_POISONS = {
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "hang": _hang,
    "spin": _spin,
    "memory": _eat,
    "exception": _raise,
}

_words = " ".join(sys.orig_argv)
if " flatten " in _words or " info " in _words:
    for _kind, _act in _POISONS.items():
        if f"poison-{_kind}" in _words:
            if _kind == "memory":
                # As planish's own commands do when memory runs out, which main() reports.
                import planish.cli.commands as commands

                commands.flatten = lambda options: _eat()
            else:
                _act()


def _bite(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and "poison-" in str(arguments[0]):
        _POISONS[str(arguments[0]).partition("poison-")[2].partition(".")[0]]()


if "planish.serve.decoder" in _words:
    sys.addaudithook(_bite)  # it opens slides whose names its command does not tell
