"""What the tree of tags in a VSI file says of its stacks, as far as slideio leaves it unsaid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_VOLUME, _PROPERTIES, _NAME, _SIZES = 2001, 2005, 2030, 2003
_DIMENSION, _MEANING, _Z = 2007, 2023, "1"
_Z_START, _Z_STEP, _UNITS, _VALUE = 2012, 2013, 268435456, 268435458
_EXTERNAL = 20005
_METRES = re.compile(r"10\^(-?\d+)m\^1")

Node = dict[str, Any]


@dataclass(frozen=True)
class ZAxis:
    """The z axis of a stack.

    Attributes
    ----------
    count : int or None
        Planes, None where the tree does not tell.
    start_um, step_um : float or None
        Where the plane of the lowest number lies, and the step to the next: negative where planes were taken from the
        top down. None where the tree tells no step.
    """

    count: int | None = None
    start_um: float | None = None
    step_um: float | None = None


def z_axis(raw: str, name: str) -> ZAxis:
    """Return what the tree, JSON as slideio gives it, says of the z of the stack of a name; nothing of namesakes."""
    volumes = [node for node in _nodes(_tree(raw)) if node.get("tag") == _VOLUME and _name(node) == name]
    if len(volumes) != 1:
        return ZAxis()
    sizes = [int(size) for node in _children(volumes[0], _SIZES) for size in re.findall(r"\d+", str(node.get("value")))]
    for dimension in _children(volumes[0], _DIMENSION):
        for node in _nodes(dimension):
            if any(child.get("value") == _Z for child in _children(node, _MEANING)):
                number, step = dimension.get("secondTag"), _length(node, _Z_STEP)
                count = sizes[number] if isinstance(number, int) and 0 <= number < len(sizes) else None
                return ZAxis(count, None if step is None else _length(node, _Z_START) or 0.0, step)
    return ZAxis()


def external_files(raw: str) -> int:
    """Return how many files of image data a VSI says that it has beside it."""
    return sum(node.get("tag") == _EXTERNAL and node.get("value") == "1" for node in _nodes(_tree(raw)))


def _tree(raw: str) -> Node:
    try:
        tree = json.loads(raw)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in _children(node):
        yield from _nodes(child)


def _children(node: Node, tag: int | None = None) -> list[Node]:
    value = node.get("value")
    return [child for child in value if tag in (None, child.get("tag"))] if isinstance(value, list) else []


def _name(volume: Node) -> str | None:
    names = [node.get("value") for part in _children(volume, _PROPERTIES) for node in _children(part, _NAME)]
    return names[0] if names else None


def _length(node: Node, tag: int) -> float | None:
    """Return a length in µm, None where there is none or its unit is none of length."""
    for quantity in _children(node, tag):
        parts = {child.get("tag"): child.get("value") for child in _children(quantity)}
        unit = _METRES.fullmatch(str(parts.get(_UNITS)))
        try:
            return float(str(parts.get(_VALUE))) * 10.0 ** (int(unit[1]) + 6) if unit else None
        except ValueError:
            return None
    return None
