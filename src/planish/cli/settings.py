"""Options of `planish flatten` that were given to another command, as the words that `planish flatten` takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from planish.model import Box


def settings(options: argparse.Namespace, groups: Iterable[argparse._ArgumentGroup]) -> tuple[str, ...]:
    """Return what differs from the defaults, in the order in which the help has it.

    The same settings give the same words, however they were typed.
    """
    # argparse has no public way to list what a group holds.
    actions = (action for group in groups for action in group._group_actions)
    return tuple(word for action in actions for word in _words(action, getattr(options, action.dest)))


def _words(action: argparse.Action, value: Any) -> list[str]:
    if value == action.default:
        return []
    name = action.option_strings[-1]
    if action.nargs == 0:
        return [name]
    # A list is that of an option that may be repeated. Joined by =, for values may begin with a minus sign.
    return [f"{name}={_text(each)}" for each in (value if isinstance(value, list) else [value])]


def _text(value: Any) -> str:
    if isinstance(value, Box):
        return ",".join(str(number) for number in value)
    if isinstance(value, tuple) and isinstance(value[0], str):  # a parameter and its value
        return f"{value[0]}={value[1]!r}"
    if isinstance(value, tuple):  # the ends of a range of planes
        return ":".join("" if end is None else str(end) for end in value)
    return str(value.absolute()) if isinstance(value, Path) else str(value)
