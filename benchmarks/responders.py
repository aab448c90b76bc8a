"""What is left of contracts if agents err? By a logistic law, and in the worst way, both exactly.

    python benchmarks/responders.py [--parts trees coins] [--trees RUN] [--coins RUN ...]
                                    [--figure PNG] [--out JSON]

`trees` are those of Figure 3: least contracts for the actions of the equilibrium, with nudges, and
those that the folder --trees has learned. `coins` are the offers that folders of runs on a Coin
Game have learned. Agents err by a logistic law with a temperature; or by up to a slack in every
step, in the way that is worst for the principal. Both are in units of reward. At 0 they are best
responders.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from report_card import Row, announce, option_parser, report

from jaxparl.contracts import minimal_contract
from jaxparl.environment import Tabulation
from jaxparl.envs import REGISTRY
from jaxparl.equilibrium import JointSolutions, backward_induction, solutions_of
from jaxparl.evaluation.offers import in_every_state, payments_by_action
from jaxparl.experiment.figures import STYLE
from jaxparl.experiment.line_styles import COLOURS
from jaxparl.trained import TrainedPrincipal, load
from jaxparl.training.sweep import draw_env_params
from jaxparl.types import PlayValue, TabularGame

TREES = 3
NUDGES = (0.0, 0.006, 0.02)
#: Temperatures and slacks. None is a nudge: with a slack of that size rounding would decide.
ERRORS = (0.0, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.015, 0.03, 0.045, 0.06, 0.1, 0.2)
#: Below this the axis of errors is linear.
LINEAR_UP_TO = 0.001
KINDS = ("temperature", "slack")

#: Of each kind of errors, what is left at each of `ERRORS`: a mean over games or seeds.
Curves = dict[str, list[float]]


class Offers(NamedTuple):
    """What is asked for `[S, N]` and paid `[S, N, A]` in a game, and what would be best."""

    env_params: Any
    actions: jax.Array
    payments: jax.Array
    best: jax.Array


def net(value: PlayValue) -> jax.Array:
    """`[]`, what the principal of a tree gets."""
    assert value.principal_reward is not None
    return value.principal_reward - value.payment


def welfare(value: PlayValue) -> jax.Array:
    """`[]`, what the principal of a Coin Game wants."""
    return value.welfare


@functools.cache
def shares_of(
    exact: JointSolutions, gets: Callable[[PlayValue], jax.Array], alpha: float
) -> Callable[[Offers], jax.Array]:
    """A program for what is left of offers, of the best, at all errors: `[kinds, errors]`."""

    def of_error(offers: Offers, error: jax.Array) -> jax.Array:
        given = offers.env_params, offers.actions, offers.payments, error
        found = exact.logit_play(*given), exact.worst_play(*given, alpha)
        return jnp.stack([gets(value) / offers.best for value in found])

    by_error = jax.vmap(of_error, in_axes=(None, 0), out_axes=1)
    return jax.jit(lambda offers: by_error(offers, jnp.array(ERRORS)))


def curves(shares: Callable[[Offers], jax.Array], offers: Sequence[Offers]) -> Curves:
    """What is left at every error, on average."""
    found = np.mean([shares(each) for each in offers], axis=0)
    return {kind: row.tolist() for kind, row in zip(KINDS, found, strict=True)}


def learned(principal: TrainedPrincipal, best: jax.Array) -> Offers:
    """What the one run's principal offers in every state."""
    problem = principal.problem
    offers = in_every_state(principal.env, principal.offer)
    payments = payments_by_action(problem, offers.contract.payments)
    return Offers(problem.env_params, offers.recommendation, payments, best)


@functools.partial(jax.jit, static_argnums=3)
def least_payments(table: TabularGame, actions: jax.Array, nudge: float, horizon: int) -> jax.Array:
    """`[S, A]`, the least expected payments for `actions` `[S]` in a tree, with a margin."""
    price = jax.vmap(minimal_contract, (0, 0, 0, None))  # over S

    def offer(value: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What actions are worth unpaid, and what is paid, given what the next states are worth."""
        follows = jnp.sum(table.successor_probs * value[table.successor], axis=-1)
        follows = jnp.einsum("sao,so->sa", table.outcome_probs, follows)
        q = table.agent_reward + table.discount * follows
        payments = price(q, table.outcome_probs, actions, nudge).payments
        return q, jnp.einsum("sao,so->sa", table.outcome_probs, payments)

    def step_back(_: int, value: jax.Array) -> jax.Array:
        q, payments = offer(value)
        return jnp.max(q + payments, axis=-1)

    # No state of a tree comes twice: after so many steps all are worth what they are at their time.
    value = jax.lax.fori_loop(0, horizon, step_back, jnp.zeros(len(actions)))
    return offer(value)[1]


def trees(folder: Path | None) -> dict[str, Curves]:
    """The principal's utility, of that in equilibrium."""
    entry = REGISTRY["game_tree"]
    env = entry.environment(entry.presets["figure3"].settings)
    exact = solutions_of(env)
    assert isinstance(exact, JointSolutions) and env.horizon is not None
    time = exact.states().time
    found: dict[str, list[Offers]] = {f"exact, nudge {nudge:g}": [] for nudge in NUDGES}
    best = []
    for game in range(TREES):
        env_params = draw_env_params(env, game, {})
        table = env.tabular(env_params)
        solved = backward_induction(table, env.horizon)
        best.append(solved.principal_value[0, 0])
        actions = solved.action[time, jnp.arange(len(time))]
        for nudge in NUDGES:
            paid = least_payments(table, actions, nudge, env.horizon)
            offers = Offers(env_params, actions[:, None], paid[:, None], best[-1])
            found[f"exact, nudge {nudge:g}"].append(offers)
    if folder:
        trained = load(folder)
        found[f"learned, {folder.name}"] = [
            learned(trained.run(number), best[run.game_id])
            for number, run in enumerate(trained.runs)
            if run not in trained.lost and run.game_id < TREES
        ]
    shares = shares_of(exact, net, 1.0)
    return {name: curves(shares, offers) for name, offers in found.items()}


def coins(folders: Sequence[Path]) -> dict[str, Curves]:
    """The welfare, of the best."""
    found = {}
    for folder in folders:
        trained = load(folder)
        exact = JointSolutions(Tabulation(trained.env))
        numbers = [number for number, run in enumerate(trained.runs) if run not in trained.lost]
        principals = [trained.run(number) for number in numbers]
        best = solutions_of(trained.env).optimal_welfare(principals[0].problem.env_params)
        shares = shares_of(exact, welfare, trained.config.hyper_params.alpha)
        offers = [learned(principal, best) for principal in principals]
        found[f"learned, {folder.name}"] = curves(shares, offers)
    return found


def draw(path: Path, found: dict[str, dict[str, Curves]]) -> None:
    """A row of panels for each part, a column for each kind of error."""
    labels = {
        "trees": "principal's utility,\n% of the equilibrium's",
        "coins": "welfare,\n% of the best",
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.7 * len(found)), layout="constrained")
        panels = figure.subplots(len(found), len(KINDS), squeeze=False, sharey="row")
        for row, (part, by_name) in zip(panels, found.items(), strict=True):
            for axis, kind in zip(row, KINDS, strict=True):
                for colour, (name, values) in zip(COLOURS, by_name.items(), strict=False):
                    # What was learned may lie on what is exact.
                    style = "o--" if name.startswith("learned") else "o-"
                    shares = 100 * np.array(values[kind])
                    looks = {"color": colour, "label": name, "markersize": 3, "clip_on": False}
                    axis.plot(ERRORS, shares, style, **looks)
                axis.set_xscale("symlog", linthresh=LINEAR_UP_TO)
                axis.set_xlim(0, ERRORS[-1])
                axis.set_xlabel(f"{kind}, in units of reward")
            row[0].set_ylim(bottom=min(0, row[0].get_ylim()[0]))
            row[0].set_ylabel(labels[part])
            row[0].legend(fontsize=7, loc="lower left")
        figure.savefig(path)


def main() -> int:
    """Runs the chosen parts."""
    parser = option_parser(__doc__, ["trees", "coins"])
    parser.add_argument("--trees", type=Path, help="the folder of a run on these trees")
    parser.add_argument("--coins", type=Path, nargs="+", default=[], help="folders of runs")
    parser.add_argument("--figure", type=Path, help="also draw the curves in this file")
    options = parser.parse_args()
    solve = {"trees": lambda: trees(options.trees), "coins": lambda: coins(options.coins)}
    found = {part: solve[part]() for part in options.parts}
    if options.figure:
        draw(options.figure, found)
    rows: list[Row] = []
    for part, by_name in found.items():
        for name, values in by_name.items():
            for kind in KINDS:
                pairs = zip(ERRORS, values[kind], strict=True)
                measured = ", ".join(f"{error:g}: {share:.1%}" for error, share in pairs)
                content = {"errors": ERRORS, "shares": values[kind]}
                rows.append(Row(f"{part}, {name}, by {kind}", measured, "", None, content))
    return report(announce(rows), options.out)


if __name__ == "__main__":
    sys.exit(main())
