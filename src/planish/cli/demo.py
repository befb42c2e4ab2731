"""The demo: a phantom slide is made, flattened, and compared with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planish.cli.summary import composed_lines
from planish.convert import ConvertOptions, convert
from planish.errors import WriteError
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.phantom.containers import write_container
from planish.phantom.options import ContainerOptions
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.planemap import PlaneMap
from planish.report.heatmap import write_heatmap
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.threads import Progress
from planish.write.options import WriteOptions


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the demo puts its files."""

    folder: Path

    @property
    def stack(self) -> Path:
        """The z-stacked slide."""
        return self.folder / "phantom.svs"

    @property
    def flat(self) -> Path:
        """The flat slide."""
        return self.folder / "phantom.flat.tif"

    @property
    def heatmap(self) -> Path:
        """The heatmap."""
        return self.folder / "phantom.heatmap.png"


def run_demo(folder: Path, *, size: int, seed: int, jobs: int, progress: Progress) -> str:
    """Make the files and return what to tell the user.

    Raises
    ------
    WriteError
        Where the folder cannot be made.
    """
    files = DemoFiles(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
    phantom = PhantomSlide(PhantomOptions("cytology-dense", width=size, height=size, planes=9, seed=seed))
    progress("drawing the phantom", 0, 1)
    write_container(phantom, files.stack, ContainerOptions("svs"))
    progress("drawing the phantom", 1, 1)
    options = ConvertOptions(survey=SurveyOptions(jobs=jobs), write=WriteOptions(overwrite=True, jobs=jobs))
    outputs = convert(files.stack, files.flat, options, progress)
    focus = PlaneMap.load(outputs.map)
    with open_slide(files.stack) as stack, open_slide(files.flat) as flat:
        write_heatmap(stack, focus, files.heatmap, overwrite=True)
        selected = flatten(stack, survey(stack, options.survey), FuseOptions("select"))
        middle = specimen_psnr(stack, phantom.truth, focus, plane=len(stack.planes) // 2)
        ours, copied = (specimen_psnr(each, phantom.truth, focus) for each in (flat, selected))
    return "\n".join(
        [
            f"z-stack   {files.stack} ({size} × {size} px, {len(phantom.planes)} planes)",
            f"slide     {outputs.slide}",
            f"heatmap   {files.heatmap}",
            f"map       {outputs.map}",
            f"record    {outputs.record_path}",
            *composed_lines(options.fuse.method, outputs.record.output["composed"]),
            f"truth     PSNR on the specimen: {options.fuse.method} {ours:.1f} dB, select {copied:.1f} dB, "
            f"middle plane {middle:.1f} dB",
        ]
    )


def specimen_psnr(slide: Slide, truth: Slide, focus: PlaneMap, plane: int = 0) -> float:
    """Return the PSNR in dB against the truth, over specimen cells."""
    squares, count = 0.0, 0
    for row, column in np.argwhere(focus.specimen):
        x, y = int(column) * focus.cell_width, int(row) * focus.cell_height
        box = x, y, min(focus.cell_width, focus.width - x), min(focus.cell_height, focus.height - y)
        found, wanted = (each.read_region(0, index, *box) for each, index in ((slide, plane), (truth, 0)))
        difference = found.astype(np.float32) - wanted
        squares += float(np.square(difference).sum(dtype=np.float64))
        count += difference.size
    return float(10 * np.log10(255**2 / (squares / max(count, 1)))) if squares else float("inf")
