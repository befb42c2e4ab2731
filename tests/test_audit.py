"""The audit: its interval is honest, and it repairs what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from planish.focus.audit import Auditor, clopper_pearson, sample_size
from planish.focus.sampler import DenseSampler, Sampler
from planish.planemap import How

PLANES = 5


class Surveyed(Sampler):
    """A survey that inferred the given planes without a score."""

    def __init__(self, mask: NDArray[np.bool_], plane: NDArray[np.integer]) -> None:
        super().__init__(mask, PLANES)
        self._plane = plane

    @property
    def inferred_plane(self) -> NDArray[np.integer]:
        """What was said to be inferred."""
        return self._plane

    def _extend(self) -> bool:
        return False


def survey(seed: int, rate: float, cluster: float, size: int = 64) -> tuple[Surveyed, NDArray[np.integer]]:
    """Return a survey with that rate of errors, scattered or in clusters of that radius in cells, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, PLANES, (size, size))
    field = rng.normal(size=truth.shape)
    if cluster:
        field = ndimage.gaussian_filter(field, cluster, mode="wrap")
    wrong = field > np.quantile(field, 1 - rate)
    return Surveyed(np.ones(truth.shape, bool), np.where(wrong, (truth + 1) % PLANES, truth)), truth


def run(auditor: Auditor, truth: NDArray[np.integer]) -> int:
    """Audit with full scores that peak at the true plane; return how many cell-planes it took."""
    scores = np.eye(PLANES)[truth] + 1
    asked = 0
    while not auditor.done:
        cells = auditor.pending()
        assert np.isnan(auditor.scores[tuple(cells.T)]).all()
        auditor.feed(cells, scores[tuple(cells.T)])
        asked += len(cells)
    return asked


@pytest.mark.parametrize("cluster", [0, 1, 3])
def test_interval_holds_the_true_error_over_400_seeds(cluster: float) -> None:
    rates = np.geomspace(0.002, 0.05, 8)
    held = []
    for seed in range(400):
        surveyed, truth = survey(seed, rates[seed % len(rates)], cluster)
        auditor = Auditor(surveyed, seed)
        run(auditor, truth)
        left = auditor.how != How.DENSE
        error = (auditor.plane != truth)[left].mean()
        held.append(auditor.audit.low <= error <= auditor.audit.high)
    assert np.mean(held) >= 0.93


def test_optional_stopping_does_not_fool_the_interval() -> None:
    """Scattered 3 % is the worst case: repair does not help, and the audit stops at the first lucky round."""
    held = []
    for seed in range(200):
        surveyed, truth = survey(seed, 0.03, 0)
        auditor = Auditor(surveyed, seed)
        run(auditor, truth)
        left = auditor.how != How.DENSE
        held.append(auditor.audit.low <= (auditor.plane != truth)[left].mean() <= auditor.audit.high)
    assert np.mean(held) >= 0.93


def test_repair_removes_clustered_errors() -> None:
    surveyed, truth = survey(1, 0.05, 3)
    auditor = Auditor(surveyed, seed=1)
    run(auditor, truth)
    assert auditor.audit.rounds > 1
    assert (auditor.plane != truth).mean() < 0.5 * (surveyed.plane != truth).mean()


def test_a_tolerable_rate_is_reported_and_not_repaired() -> None:
    surveyed, truth = survey(0, 0.007, 0)
    auditor = Auditor(surveyed, seed=0)
    asked = run(auditor, truth)
    assert auditor.audit.rounds == 1
    assert auditor.audit.checked == sample_size(64 * 64) == 410
    assert asked == 410 * PLANES
    assert auditor.audit.low < 0.007 < auditor.audit.high


def test_audited_cells_adopt_their_full_score_and_others_keep_what_the_survey_said() -> None:
    surveyed, truth = survey(3, 0.05, 0)
    auditor = Auditor(surveyed, seed=3)
    run(auditor, truth)
    full = auditor.how == How.DENSE
    assert full.any()
    assert not full.all()
    assert (auditor.plane[full] == truth[full]).all()
    assert (auditor.plane[~full] == surveyed.plane[~full]).all()
    assert (auditor.how[~full] == How.INFERRED).all()
    assert np.isfinite(auditor.margin[full]).all()
    assert np.isnan(auditor.margin[~full]).all()


def test_only_inferred_specimen_cells_are_drawn() -> None:
    surveyed, truth = survey(4, 0.01, 0)
    surveyed.mask[:, ::2] = False
    rows, columns = np.indices(truth.shape)[:, :32].reshape(2, -1)
    for plane in range(PLANES):
        known = np.stack([rows, columns, np.full_like(rows, plane)], axis=1)
        surveyed.feed(known, np.ones(len(known)))
    auditor = Auditor(surveyed, seed=4)
    drawn = auditor.pending()
    assert (drawn[:, 0] >= 32).all()
    assert (drawn[:, 1] % 2 == 1).all()
    assert len(drawn) == sample_size(32 * 32) * PLANES


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((4, 4), bool)])
def test_nothing_inferred_is_nothing_to_audit(mask: NDArray[np.bool_]) -> None:
    dense = DenseSampler(mask, PLANES)
    dense.feed(dense.pending(), np.ones(len(dense.pending())))
    auditor = Auditor(dense)
    assert auditor.done
    assert (auditor.audit.checked, auditor.audit.low, auditor.audit.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "checked", "low", "high"),
    [(0, 10, 0, 0.30850), (5, 10, 0.18709, 0.81291), (10, 10, 0.69150, 1), (0, 0, 0, 1), (3, 500, 0.00124, 0.01744)],
)
def test_clopper_pearson_against_published_values(wrong: int, checked: int, low: float, high: float) -> None:
    assert clopper_pearson(wrong, checked) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(("inferred", "checked"), [(0, 0), (5, 1), (1_000, 100), (20_000, 500), (150_000, 1_500)])
def test_sample_size(inferred: int, checked: int) -> None:
    assert sample_size(inferred) == checked
