"""Every metric that is shown: how it is called, written, drawn and summarised.

An evaluation records all of its metrics; this table says which of them a reader sees. The closing
table has a column for each one that has a header, and the figure a panel for each one that has a
panel, in this order. A metric that is estimated by episodes is recorded with its standard error.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from jaxparl.evaluation.audit import AuditMetrics
from jaxparl.evaluation.episodes import EpisodeMetrics
from jaxparl.evaluation.oracle import OracleMetrics
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.metrics import OneAgentMetrics, ValidationMetrics

# Just above 100%, so that a curve at 100% is not cut in half by the edge of its panel.
_ABOVE_ALL = 1.005
_REWARD = "reward per episode"

#: Stands before what is estimated by episodes.
ABOUT = "≈"

#: What the name of a metric's standard error ends in.
ERROR_SUFFIX = "_se"


class Panel(NamedTuple):
    """One panel of a figure.

    Attributes:
      title: what it shows.
      bottom: the lower end of the axis, unless values below it are drawn; None: the least of them.
      top: the upper end; None: the greatest value that is drawn.
    """

    title: str
    # A principal earns at least 0, as it does without any contract.
    bottom: float | None = 0.0
    top: float | None = None


class Metric(NamedTuple):
    """One metric of an evaluation.

    Attributes:
      name: its field in the metrics, and its column in metrics.csv.
      header: the title of its column in the closing table.
      format: how a value is written; one that ends in % is drawn in percent, too.
      unit: of its values, at the axis of its panel; empty for shares.
      legend: the line below the closing table that explains the column.
      legend_of_estimate: the same where it is an estimate, if that is something else.
      headline: how it is written in the progress line, with `{}` for its value; empty: not at all.
      exact: the metric that holds its exact value; empty: there is none.
      panel: its panel in the figure; None: it is not drawn.
      over_runs: whether the closing table has its range over runs, too.
      last_quarter: whether the summary has its mean over the last quarter, too.
    """

    name: str
    header: str
    format: str = ".3f"
    unit: str = ""
    legend: str = ""
    legend_of_estimate: str = ""
    headline: str = ""
    exact: str = ""
    panel: Panel | None = None
    over_runs: bool = False
    last_quarter: bool = False

    @property
    def error(self) -> str:
        """The name of its standard error, which is recorded where it is an estimate."""
        return f"{self.name}{ERROR_SUFFIX}"

    @property
    def is_percent(self) -> bool:
        """Whether its values are shares, written in percent."""
        return self.format.endswith("%")


#: All kinds of evaluations.
KINDS = (
    OracleMetrics,
    AuditMetrics,
    EpisodeMetrics,
    ValidationMetrics,
    OneAgentMetrics,
    EstimatedMetrics,
)

#: The names of all metrics that any evaluation records, shown or not.
RECORDED = frozenset(field.name for kind in KINDS for field in dataclasses.fields(kind))

METRICS = (
    Metric(
        "principal_utility",
        "principal",
        unit=_REWARD,
        legend_of_estimate="principal: its rewards less alpha times the payments",
        exact="equilibrium_principal_utility",
        panel=Panel("Principal's utility"),
    ),
    Metric("equilibrium_principal_utility", "exact", unit=_REWARD),
    Metric(
        "utility_ratio",
        "of exact",
        ".1%",
        legend="principal, agent: their utilities; exact: in equilibrium",
        headline="utility {} of the equilibrium's",
        over_runs=True,
        last_quarter=True,
    ),
    Metric("agent_utility", "agent", unit=_REWARD, exact="equilibrium_agent_utility"),
    Metric("equilibrium_agent_utility", "exact", unit=_REWARD),
    Metric(
        "recommendation_accuracy",
        "right",
        ".1%",
        legend="right: recommendations that are the equilibrium's",
        headline="{} right",
        panel=Panel("Right recommendations", bottom=None, top=_ABOVE_ALL),
        last_quarter=True,
    ),
    Metric(
        "obedience",
        "held",
        ".1%",
        legend="held: states where an exactly optimal agent follows the recommendation",
    ),
    Metric(
        "welfare",
        "welfare",
        unit=_REWARD,
        legend="welfare: rewards of all agents per episode",
        headline="welfare {}",
        exact="optimal_welfare",
        panel=Panel("Social welfare"),
    ),
    Metric("optimal_welfare", "best", unit=_REWARD),
    Metric(
        "welfare_ratio",
        "of best",
        ".1%",
        legend="best: the greatest welfare that is possible",
        headline="({} of the best)",
        over_runs=True,
        last_quarter=True,
    ),
    Metric(
        "payment",
        "payments",
        unit=_REWARD,
        legend="payments: to all agents per episode",
    ),
    Metric(
        "payment_share",
        "paid",
        ".1%",
        legend="paid: payments over welfare",
        headline="{} paid",
        exact="equilibrium_payment_share",
        panel=Panel("Payments / welfare"),
        last_quarter=True,
    ),
    Metric("equilibrium_payment_share", "least", ".1%", legend="least: the same in equilibrium"),
    Metric(
        "deviation_gain",
        "gain",
        unit=_REWARD,
        legend="gain: the most an agent gains by deviating, in rewards per episode",
        legend_of_estimate="gain: what an agent gains by a learned deviation, others following: "
        "at least that is to be gained",
        headline="{} to gain",
        panel=Panel("Most an agent gains by deviating"),
    ),
    Metric(
        "relative_deviation_gain",
        "gain %",
        ".1%",
        legend="gain %: the same as a share of its utility",
    ),
    Metric(
        "followed_share",
        "followed",
        ".1%",
        legend="followed: the share of recommendations that black boxes follow",
        headline="{} followed",
        panel=Panel("Recommendations followed", bottom=None, top=_ABOVE_ALL),
    ),
    Metric(
        "own_over_recommended_following",
        "own/rec.",
        legend="own/rec.: utility by one's own policy over following's, the others following",
        exact="best_response_over_following",
        panel=Panel("Own over recommended, others follow", bottom=None),
    ),
    Metric(
        "best_response_over_following",
        "at\nbest",
        legend="at best: the same of an exact best response",
    ),
    Metric(
        "own_over_recommended_own",
        "both\nown",
        legend="both own: the same while the others play their own policies",
        panel=Panel("Own over recommended, others too", bottom=None),
    ),
)
