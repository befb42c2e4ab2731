"""Phantom slides as scanner files, drawn once and kept, since drawing takes longer than what is measured."""

from __future__ import annotations

import tempfile
from pathlib import Path

from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide

KEPT = Path(tempfile.gettempdir()) / "planish-bench"


def phantom_file(options: PhantomOptions) -> tuple[PhantomSlide, Path]:
    """Return a phantom and the SVS that holds it, drawn on the first call."""
    phantom = PhantomSlide(options)
    name = f"{options.kind}-{options.width}x{options.height}x{options.planes}-{options.tile}-{options.seed}.svs"
    path = KEPT / name
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        temporary = path.with_suffix(".part")
        write_container(phantom, temporary, ContainerOptions("svs", tile=options.tile))
        temporary.rename(path)
    return phantom, path
