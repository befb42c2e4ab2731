"""Damaged copies of small slides, for the tests of what damage may do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from makers import container, make_stack

KINDS: dict[str, dict[str, Any]] = {
    "ome-jpeg": {"kind": "ome-tiff"},
    "ome-lzw": {"kind": "ome-tiff", "codec": "lzw"},
    "svs": {"kind": "svs", "color": "rgb"},
    "svs-deflate": {"kind": "svs", "codec": "deflate"},
    "ndpi": {"kind": "ndpi"},
}
_DIRECTORIES = 3000
"""Bytes at the end of such a slide in which its page directories stand."""
_TELLING = (0, 1, 2, 255)


def small_slide(folder: Path, name: str) -> Path:
    """Write a small z-stack with a pyramid."""
    stack = make_stack()[:, :136, :200]
    return container(folder, stack, tile=64, downsamples=(1, 4), **KINDS[name])


def mutants(slide: Path, count: int, seed: int) -> Iterator[Path]:
    """Yield damaged copies beside the slide, one after the other under one name: cut off, or with bytes changed."""
    data, numbers = slide.read_bytes(), random.Random(f"{slide.name} {seed}")
    path = slide.with_name(f"mutant{''.join(slide.suffixes)}")
    for index in range(count):
        path.write_bytes(_cut(data, numbers) if index % 4 == 0 else _changed(data, numbers, index % 4))
        yield path


def _cut(data: bytes, numbers: random.Random) -> bytes:
    return data[: numbers.randrange(1, len(data))]


def _changed(data: bytes, numbers: random.Random, where: int) -> bytes:
    """Change one to four bytes: among the directories, where most harm is done, or anywhere."""
    changed, first = bytearray(data), max(0, len(data) - _DIRECTORIES) if where < 3 else 0
    for _ in range(numbers.randint(1, 4)):
        changed[numbers.randrange(first, len(data))] = numbers.choice((*_TELLING, numbers.randrange(256)))
    return bytes(changed)
