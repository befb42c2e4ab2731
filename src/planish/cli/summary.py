"""What a person wants to know after a command has done its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planish.convert import Outputs
    from planish.imagestack import FusedImage
    from planish.pictures import Picture
    from planish.planemap import SurveyRecord
    from planish.report.record import RunRecord


def flat_summary(outputs: Outputs, notes: Sequence[str] = ()) -> str:
    """Return where the files of a flattened slide lie, what was done, and notes beside those of the record."""
    record, lines = outputs.record, [f"slide     {outputs.slide}", f"map       {outputs.map}"]
    lines.append(f"record    {outputs.record_path}")
    if outputs.heatmap:
        lines.append(f"heatmap   {outputs.heatmap}")
    if record.survey:
        if record.arguments.get("map_path"):
            lines.append("planes    from a saved map, which was made so:")
        lines += survey_lines(record.survey)
    fuse = record.arguments["fuse"]
    if composed := record.output.get("composed"):
        lines += composed_lines(fuse["method"], composed)
    elif fuse["method"] != "select":
        lines.append(_method_line(fuse))
    lines += _tile_lines(record.output)
    lines += [f"warning   {warning}" for warning in record.output["warnings"]]
    return "\n".join([*lines, *_note_lines(record, notes), _done_line(record)])


def composed_lines(method: str, composed: Mapping[str, Any]) -> list[str]:
    """Return what was done with the cells."""
    if why := composed.get("why_no_more"):
        return [f"composed  {method}: all cells copied; {why}"]
    counts = {"copied": "copied", "fused": "fused", "ramped": "blended at their borders"}
    done = [f"{number} {said}" for kind, said in counts.items() if (number := composed[f"cells_{kind}"])]
    lines = [f"composed  {method}, {_cells(sum(composed[f'cells_{kind}'] for kind in counts))}: {', '.join(done)}"]
    if decoded := composed.get("tile_planes_decoded"):
        lines.append(f"          {decoded} tile-planes decoded to look inside cells")
    if corrected := composed["cells_corrected"]:
        lines.append(f"          {_cells(corrected)} got a sharper plane than the survey's")
    if overlapping := len(composed["cells_with_two_planes_sharp"]):
        lines.append(f"          in {overlapping} of the cells fused, planes that lie apart are sharp at once")
    return lines


def fused_summary(fused: FusedImage, notes: Sequence[str] = ()) -> str:
    """Return where a fused image lies, what it was made of, and notes beside those of the record."""
    record = fused.record
    lines = [f"image     {fused.path}"]
    if fused.depth_path:
        lines.append(f"depth     {fused.depth_path}")
    lines.append(f"record    {fused.record_path}")
    source, output = record.source, record.output
    lines.append(f"planes    {output['planes']} of {source['width']:,} × {source['height']:,} px, {source['dtype']}")
    if "method" in output:
        lines.append(_method_line(output))
    else:
        lines.append(f"pixels    from {output['planes_used']} of the planes, by the depth map")
    return "\n".join([*lines, *_note_lines(record, notes), _done_line(record)])


def picture_summary(picture: Picture) -> str:
    """Return where a picture and its record lie."""
    lines = [f"{picture.record.command:<9} {picture.path}", f"record    {picture.record_path}"]
    return "\n".join(lines + _note_lines(picture.record))


def survey_lines(record: SurveyRecord) -> list[str]:
    """Return what a survey did, in lines."""
    lines = [f"planes    {record.why}"]
    if record.scorer != "none":
        lines = [f"scorer    {record.scorer}: {record.scorer_why}", f"sampler   {record.sampler}: {record.why}"]
    cells = f"cells     {record.specimen_cells} specimen ({record.inferred} inferred"
    cells += f", {record.tied} near ties" if record.tied else ""
    lines += [
        f"{cells}), {record.glass_cells} glass",
        f"decoded   {record.decoded} of {record.specimen_tile_planes} tile-planes of the specimen, "
        f"at 1/{record.score_downsample:g}",
    ]
    if audit := record.audit:
        lines.append(
            f"audit     {audit.wrong} wrong of {audit.checked} cells drawn from those not scored in full "
            f"({audit.confidence:.0%} interval {audit.low:.1%} to {audit.high:.1%})"
        )
    return lines


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def _method_line(fuse: Mapping[str, Any]) -> str:
    given = ", ".join(f"{name}={value}" for name, value in fuse["parameters"].items())
    return f"fused     {fuse['method']}({given}), by {fuse['backend']}"


def _done_line(record: RunRecord) -> str:
    memory = f", peak memory {record.peak_memory_mib:.0f} MiB" if record.peak_memory_mib else ""
    return f"done      {record.seconds['total']:.1f} s{memory}"


def _tile_lines(output: Mapping[str, Any]) -> list[str]:
    copied, encoded = output.get("tiles_copied"), output.get("tiles_encoded")
    if copied is None or encoded is None:
        return []
    return [f"tiles     {copied} copied ({output.get('bytes_copied', 0):,} bytes), {encoded} encoded"]


def _note_lines(record: RunRecord, more: Sequence[str] = ()) -> list[str]:
    return [f"note      {note}" for note in (*record.source.get("notes", ()), *more)]
