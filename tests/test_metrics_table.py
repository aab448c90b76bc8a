"""The table of metrics: every name in it is one that an evaluation has."""

from __future__ import annotations

import dataclasses

import pytest

from jaxparl.config import HyperParams
from jaxparl.evaluation.episodes import EpisodeMetrics
from jaxparl.experiment.metrics_table import ERROR_SUFFIX, KINDS, METRICS
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.metrics import OneAgentMetrics, ValidationMetrics


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_recorded_by_some_evaluation_beside_its_exact_value(metric):
    recorded = [kind for kind in KINDS if metric.name in names(kind)]
    assert recorded
    if metric.exact:
        assert any(metric.exact in names(kind) for kind in recorded)
        assert metric.exact in {other.name for other in METRICS}


def test_whatever_is_recorded_is_shown_but_for_losses_and_counts():
    shown = {metric.name for metric in METRICS}
    assert len(shown) == len(METRICS)
    hidden = set().union(*map(names, KINDS)) - shown - {metric.error for metric in METRICS}
    assert hidden == {"agent_loss", "principal_loss", "outcome_model_loss", "episodes"}


@pytest.mark.parametrize("kind", [EpisodeMetrics, EstimatedMetrics])
def test_every_estimate_has_its_standard_error_beside_it(kind):
    recorded = [field.name for field in dataclasses.fields(kind)]
    estimates = [name for name in recorded if f"{name}{ERROR_SUFFIX}" in recorded]
    assert set(estimates) == {metric.name for metric in METRICS} & set(recorded)
    for name in estimates:
        assert recorded[recorded.index(name) + 1] == f"{name}{ERROR_SUFFIX}"


def test_what_is_estimated_is_called_as_what_is_exact():
    exact = names(ValidationMetrics) | names(OneAgentMetrics)
    estimated = {metric.name for metric in METRICS} & names(EstimatedMetrics)
    assert estimated <= exact


def test_every_kind_of_evaluation_has_a_panel_and_a_headline():
    for kind in KINDS:
        shown = [metric for metric in METRICS if metric.name in names(kind)]
        assert any(metric.panel for metric in shown)
        assert any(metric.headline for metric in shown)


def test_shares_are_written_in_percent_and_all_else_has_a_unit():
    for metric in METRICS:
        assert f"{0.25:{metric.format}}" in ("0.250", "25.0%")
        is_ratio = "over" in metric.name
        assert bool(metric.unit) == (not metric.is_percent and not is_ratio)
        if metric.headline:
            assert metric.headline.count("{}") == 1


def test_no_metric_is_called_like_a_setting_or_another_label_of_a_run():
    labels = {"game", "seed", "scheme", "iteration"}
    labels |= {field.name for field in dataclasses.fields(HyperParams)}
    assert not labels & set().union(*map(names, KINDS))
