"""What one plane per cell loses against the best such choice, scored at several sizes, and what writing adds."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phantoms import phantom_file

from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.planemap import PlaneMap
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.options import WriteOptions
from planish.write.output import write


def squared_errors(slide: Slide, truth: Slide) -> NDArray[np.float64]:
    """Return the mean squared error of each tile and plane, (rows, columns, planes)."""
    level = slide.levels[0]
    errors = np.zeros((level.rows, level.columns, len(slide.planes)))
    for row, column in np.ndindex(level.rows, level.columns):
        wanted = truth.read_tile(0, 0, column, row).astype(np.float32)
        for plane in range(len(slide.planes)):
            errors[row, column, plane] = np.mean((slide.read_tile(0, plane, column, row) - wanted) ** 2)
    return errors


def specimen_cells(phantom: PhantomSlide) -> NDArray[np.bool_]:
    """Return where the truth has any specimen, (rows, columns): nobody's mask, but the phantom's own."""
    level = phantom.levels[0]
    found = np.zeros((level.rows, level.columns), bool)
    for row, column in np.ndindex(found.shape):
        found[row, column] = np.isfinite(phantom.depth_region(*level.tile_box(column, row))).any()
    return found


def psnr(error: NDArray[Any]) -> float:
    """Return the PSNR in dB of mean squared errors."""
    return float(10 * np.log10(255**2 / error.mean()))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="cytology-dense")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--planes", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made = PhantomOptions(options.kind, options.size, options.size, options.planes, seed=options.seed)
    phantom, path = phantom_file(made)
    specimen = specimen_cells(phantom)
    with open_slide(path) as slide, tempfile.TemporaryDirectory() as folder:
        errors = squared_errors(slide, phantom.truth)
        best, middle = psnr(errors.min(2)[specimen]), psnr(errors[..., options.planes // 2][specimen])
        print(f"{options.kind} {options.size}², {options.planes} planes, seed {options.seed}, {specimen.sum()} cells")
        print(f"middle plane {middle:.2f} dB, best plane per cell {best:.2f} dB")
        for downsample in (1, 2, 4, 8):
            scored = SurveyOptions("blur-difference", score_downsample=downsample, sampler="dense", audit=False)
            focus = survey(slide, scored)
            found = psnr(picked(errors, focus)[specimen])
            print(f"scored at 1/{downsample}: {found:.2f} dB, {best - found:.3f} dB below the best choice")
            if downsample == 1:
                dense, dense_found = focus, found
            if downsample == 4:
                flat = flatten(slide, focus, FuseOptions("select"))
                for mode in ("auto", "encode"):
                    written = write(flat, Path(folder, f"{mode}.tif"), WriteOptions(mode))
                    with open_slide(written.path) as file:
                        stored = psnr(squared_errors(file, phantom.truth)[..., 0][specimen])
                    print(f"  written ({mode}): {stored:.2f} dB, {found - stored:.3f} dB below the composed pixels")
        for ties in ("bytes", "decode"):
            focus = survey(slide, SurveyOptions(ties=ties))
            found, record = psnr(picked(errors, focus)[specimen]), focus.record
            assert record is not None
            equal = (focus.plane == dense.plane)[dense.specimen].mean()
            print(
                f"by bytes, ties by {ties}: {equal:.2%} equal to scoring everything at 1/1, {found:.2f} dB, "
                f"{dense_found - found:.3f} dB below that, {record.measured / record.specimen_tile_planes:.1%} of "
                f"tile-planes decoded"
            )


def picked(errors: NDArray[np.float64], focus: PlaneMap) -> NDArray[np.float64]:
    """Return the error of each cell's chosen plane."""
    return np.take_along_axis(errors, focus.plane[..., None].astype(np.intp), 2)[..., 0]


if __name__ == "__main__":
    main()
