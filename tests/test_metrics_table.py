"""The table of metrics: every name in it is one that an evaluation has."""

from __future__ import annotations

import dataclasses

import pytest

from jaxparl.evaluation.audit import AuditMetrics
from jaxparl.evaluation.episodes import EpisodeMetrics
from jaxparl.evaluation.oracle import OracleMetrics
from jaxparl.experiment.metrics_table import METRICS
from jaxparl.validation.metrics import ValidationMetrics

KINDS = (OracleMetrics, AuditMetrics, EpisodeMetrics, ValidationMetrics)


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_recorded_by_some_evaluation_beside_its_exact_value(metric):
    recorded = [kind for kind in KINDS if metric.name in names(kind)]
    assert recorded
    if metric.exact:
        assert any(metric.exact in names(kind) for kind in recorded)
        assert metric.exact in {other.name for other in METRICS}


def test_whatever_is_recorded_is_shown_but_for_losses_and_sums_of_payments():
    shown = {metric.name for metric in METRICS}
    assert len(shown) == len(METRICS)
    hidden = set().union(*map(names, KINDS)) - shown
    assert hidden == {"agent_loss", "principal_loss", "outcome_model_loss", "payment"}


def test_every_kind_of_evaluation_has_a_panel_and_a_headline():
    for kind in KINDS:
        shown = [metric for metric in METRICS if metric.name in names(kind)]
        assert any(metric.panel for metric in shown)
        assert any(metric.headline for metric in shown)


def test_headlines_and_cells_are_written_with_their_own_formats():
    for metric in METRICS:
        assert f"{0.25:{metric.format}}" in ("0.250", "25.0%")
        if metric.headline:
            assert ("%" in metric.headline.format(0.25)) == metric.is_percent
