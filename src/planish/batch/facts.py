"""What the ledger keeps of a slide's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planish.batch.entry import printable


def record_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns of the ledger from the record of `planish flatten`.

    Raises
    ------
    KeyError, TypeError
        Where it is no such record.
    """
    output, survey = record["output"], record["survey"] or {}
    peak = record.get("peak_memory_mib")
    decoded = [survey.get("decoded"), survey.get("mask_decoded"), (survey.get("audit") or {}).get("decoded"),
               (output.get("composed") or {}).get("tile_planes_decoded")]  # fmt: skip
    return {
        "output_size": output["bytes"],
        "tiles_copied": output["tiles_copied"],
        "tiles_encoded": output["tiles_encoded"],
        "tile_planes_decoded": sum(count for count in decoded if count),
        "warnings": tuple(printable(str(each)) for each in output.get("warnings", ())),
        "seconds": record["seconds"]["total"],
        **({} if peak is None else {"peak_memory": int(peak * 2**20)}),
    }
