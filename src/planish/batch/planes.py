"""Which images of a folder are the planes of one stack, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from planish.slide.images import Z_IN_NAME

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""No slides by themselves."""
_NUMBER = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True)
class Stack:
    """Images that belong together.

    Attributes
    ----------
    names : tuple of str
        At least two.
    clear : bool
        Whether they differ in one number only; otherwise nobody can tell which are one slide's planes.
    """

    names: tuple[str, ...]
    clear: bool = True


def stacks_in(names: Sequence[str]) -> list[Stack]:
    """Return the stacks among the images of a folder.

    Images belong together where they differ in the z of their names only; pictures, which are no slides, also where
    they differ in another number.
    """
    stacks = [Stack(tuple(group)) for group in _by_z(names)]
    taken = {name for stack in stacks for name in stack.names}
    pictures = [name for name in names if name not in taken and Path(name).suffix.lower() in PICTURES]
    return [*stacks, *_by_number(pictures)]


def _by_z(names: Iterable[str]) -> Iterator[list[str]]:
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        if match := Z_IN_NAME.search(stem):
            unit = (match[3] or "").lower()
            alike[stem[: match.start()], stem[match.end() :], unit, suffix].append(name)
    return (group for group in alike.values() if len(group) > 1)


def _by_number(names: Iterable[str]) -> Iterator[Stack]:
    alike: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(dict)
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        parts = _NUMBER.split(stem)
        alike[*parts[::2], suffix][name] = parts[1::2]
    for group in alike.values():
        if len(group) > 1:
            differing = sum(len(set(column)) > 1 for column in zip(*group.values(), strict=True))
            yield Stack(tuple(group), differing == 1)
