"""`correct_dataset`: raw volumes of a folder made comparable, camera by camera and channel by channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.correction import Corrected, correct_volume
from planish.lightsheet.correctoptions import CorrectOptions
from planish.lightsheet.darks import dark_frames
from planish.lightsheet.dataset import Dataset, open_dataset
from planish.lightsheet.flatfiles import write_maxima, write_middles
from planish.lightsheet.globalmask import GlobalMasks
from planish.lightsheet.layout import Layout, make_folder
from planish.lightsheet.mask import Foreground, apply_mask
from planish.lightsheet.maxima import maxima
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.settingsfile import SOURCE, check_settings, save_record, source_key
from planish.lightsheet.steps import Outcome, StepResult, Work
from planish.lightsheet.volume import Volume, write_volume
from planish.outputs import check_not_source
from planish.report.record import Run, RunRecord
from planish.threads import Progress, each_in_threads

RECORD = "correct.record.json"
MASK = "mask"
"""What the labels of the specimen are called."""


def correct_dataset(
    source: Path, output: Path, options: CorrectOptions | None = None, progress: Progress | None = None
) -> StepResult:
    """Correct every volume of a raw data set: crop, turn, flip, bad pixels, background, mask, save, projections.

    What is there already is skipped. A volume that fails is named, and the others go on.

    Memory: one volume as stored (two where it comes compressed), its mask, and what writing takes.

    Parameters
    ----------
    source : Path
        Folder of raw files, see `open_dataset`.
    output : Path
        Folder to write into, see `Layout`; made if need be.
    options : CorrectOptions, optional
        How.
    progress : callable, optional
        Called with (stage, done, total) in volumes; an exception that it raises cancels.

    Raises
    ------
    SlideError
        Where the folder has no volumes, or none of those asked for.
    OptionError
        Where the output was made with other settings.
    """
    options, run = options or CorrectOptions(), Run("lightsheet correct")
    with run.stage("open"):
        raw = open_dataset(source, options.part.specimen, options.size)
        looks = [look for look in raw.looks if look in options.part]
    if fused := next((look for look in looks if isinstance(look, Fused)), None):
        raise SlideError(f"{source}: holds volumes that are fused already ({fused.stem}); name the raw ones")
    if not looks:
        raise SlideError(f"{source}: none of its time points is meant; there are {_span(raw)}")
    check_not_source(source, output / "SPM00")
    make_folder(output)
    arguments = asdict(options) | {SOURCE: source_key(source)}
    check_settings(output / RECORD, arguments, overwrite=options.output.overwrite)
    known = backgrounds_of(output)
    outcome = Outcome(gaps=list(raw.gaps))
    step = _Correct(raw, Layout(output, options.output.format), options, dark_frames(raw))

    def save(**facts: Any) -> RunRecord:
        facts = {"source": _facts(raw), "backgrounds": known | step.backgrounds, "bad_pixels": step.bad, **facts}
        return save_record(output / RECORD, run, arguments, facts)

    def do(look: Look) -> None:
        step.do(look)
        save()

    save()  # a run that is killed leaves word of its settings, and of what was taken off
    with run.stage("correct"):
        if options.mask.mode == "global":
            step.find_global(looks, outcome, progress)
        Work("correct", lambda look: look.stem, step.is_done, do).over(looks, outcome, progress)
    return StepResult(outcome, output, output / RECORD, save(**outcome.facts()))


def backgrounds_of(folder: Path) -> dict[str, float]:
    """Return what was taken off each volume of a corrected data set, in counts, as far as its record tells."""
    try:
        known = json.loads((folder / RECORD).read_text(encoding="utf-8"))["output"]["backgrounds"]
        return {str(stem): float(level) for stem, level in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@dataclass
class _Correct:
    """The work on single volumes."""

    raw: Dataset
    layout: Layout
    options: CorrectOptions
    darks: Mapping[int, NDArray[Any]]
    backgrounds: dict[str, float] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    masks: GlobalMasks = field(default_factory=GlobalMasks)

    def is_done(self, look: Look) -> bool:
        """Whether a volume is there; it is written last."""
        return self._last(look).exists() and not self.options.output.overwrite

    def _last(self, look: Look) -> Path:
        path = self.layout.volume(look)
        only = self.options.mask.mode == "masks-only"
        return path.with_name(path.name.replace(".", f".{MASK}.", 1)) if only else path

    def do(self, look: Look) -> None:
        """Correct and write one volume."""
        with self.raw.volume(look) as raw:
            made = self._corrected(raw, look, masked=look not in self.masks)
            voxel_um = raw.voxel_um
        if look in self.masks:
            made = replace(made, found=self.masks.of(look, made.pixels.shape))
        self.layout.prepare(look)
        self._write(look, made, voxel_um)
        self.backgrounds[look.stem] = made.background
        self.bad[look.stem] = int(np.count_nonzero(made.bad))

    def find_global(self, looks: list[Look], outcome: Outcome, progress: Progress | None) -> None:
        """Find the union of the masks of all time points, view by view."""

        def add(look: Look) -> None:
            with self.raw.volume(look) as raw:
                found = self._corrected(raw, look, masked=True).found
            if found:
                self.masks.add(look, found.mask)

        if not all(self.is_done(look) for look in looks):
            # Failures are told of again when the volume itself is made.
            Work("masks", lambda look: look.stem, lambda look: False, add).over(looks, Outcome(), progress)

    def _corrected(self, raw: Volume, look: Look, *, masked: bool) -> Corrected:
        raw.voxel_um = self.options.voxel_um or raw.voxel_um
        return correct_volume(raw, look.camera, self.darks.get(look.camera), self.options, masked=masked)

    def _write(self, look: Look, made: Corrected, voxel_um: Any) -> None:
        found, options = made.found, self.options.output
        if found and self.options.apply_mask:
            _zero_outside(made.pixels, found, options.jobs)
        write_maxima(self.layout, look, maxima(made.pixels))
        if options.diagnostics:
            from planish.lightsheet.diagnostics import draw_correction

            draw_correction(self.layout.diagnostic(look, "correction"), made, look.stem)
        if found:
            write_middles(self.layout, look, found)
        labels = {MASK: found.mask.view(np.uint8)} if found else {}
        writing = options.writing(voxel_um)
        if self.options.mask.mode == "masks-only":
            write_volume(self._last(look), labels[MASK], writing)
        else:
            write_volume(self._last(look), made.pixels, replace(writing, labels=labels))


def _zero_outside(pixels: NDArray[Any], found: Foreground, jobs: int) -> None:
    def work(z: int) -> None:
        pixels[z] = apply_mask(pixels[z], found.mask[z])

    each_in_threads(work, len(pixels), jobs)


def _span(raw: Dataset) -> str:
    return f"{raw.times[0]} to {raw.times[-1]}"


def _facts(raw: Dataset) -> dict[str, Any]:
    told = raw.metadata
    return {
        "specimens": raw.specimens, "times": raw.times, "views": raw.views, "volumes": len(raw.looks),
        "voxel_um": told["voxel_um"], "dark_frames": len(told["backgrounds"]),
    }  # fmt: skip
