"""Are the exact solutions exact, do the paper's theorems hold on them, and how fast are they?

    python benchmarks/equilibrium.py [--out results.json]

Solves Figure 1 and random games by Algorithm 1 from random contracts and compares the results with
backward induction. Compares backward induction with a NumPy and HiGHS oracle, and measures what
Theorem 3.4 says of games without a horizon. Takes some minutes. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path

import jax
import numpy as np
from report_card import Row, parse_options, report

from jaxparl.equilibrium import (
    backward_induction,
    meta_algorithm,
    stationary_meta_algorithm,
    value_iteration,
)
from jaxparl.types import TabularGame

# The slow solver is shared with the tests. It is not part of the package.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles import (
    figure_one_table,
    largest_error,
    largest_ratio,
    principal_backups,
    random_table,
    random_tree,
    solve_by_backward_induction,
    stack,
)

# Ten kinds of tables, of which twenty each are drawn: states, actions, outcomes, horizon.
KINDS = (
    *((30, 2, 2, 2), (30, 3, 3, 2), (20, 4, 2, 3), (30, 2, 4, 3), (12, 4, 4, 4)),
    *((30, 3, 2, 4), (20, 3, 3, 5), (30, 4, 3, 5), (10, 2, 2, 6), (30, 3, 4, 6)),
)
TABLES_PER_KIND = 20
STATIONARY_TABLES, STATIONARY_STATES, ITERATIONS = 100, 8, 60
GAMMAS = (0.5, 0.9)


def figure_one(rng) -> Row:
    table = figure_one_table()
    starts = rng.uniform(0, 3, (1000, 2, 3, 2)).astype(np.float32)
    # Over 1,000 starts.
    result = jax.vmap(lambda start: meta_algorithm(table, 2, start))(starts)
    iterations = int(result.iterations.max())
    by_hand = np.array([[0.2, 0.1, 0.1], [0.1, 0.1, 0.1]])
    error = float(np.abs(result.equilibrium.agent_value - by_hand).max())
    return Row(
        "Figure 1 from 1,000 random contracts",
        f"{iterations} iterations at most, value error {error:.1e}",
        "3, 1e-5",
        iterations <= 3 and error <= 1e-5,
        {"iterations": iterations, "error": error},
    )


def theorem_3_3(rng) -> Row:
    slack, error = [], 0.0
    for states, actions, outcomes, horizon in KINDS:
        tables = stack(
            [random_table(rng, states, actions, outcomes) for _ in range(TABLES_PER_KIND)]
        )
        starts = rng.uniform(0, 3, (TABLES_PER_KIND, horizon, states, outcomes)).astype(np.float32)
        # Over the tables of one kind, in both.
        solve = jax.vmap(lambda table, start, T=horizon: meta_algorithm(table, T, start))
        result = solve(tables, starts)
        exact = jax.vmap(lambda table, T=horizon: backward_induction(table, T))(tables)
        slack.append(np.asarray(result.iterations) - (horizon + 1))
        error = max(error, largest_error(result.equilibrium, exact))
    over, needed = int(np.max(slack)), float(np.mean(np.array(slack) == 0))
    return Row(
        "Theorem 3.3 on 200 random games, random contracts",
        f"iterations - (T + 1) = {over} at most (0 in {needed:.0%}), value error {error:.1e}",
        "0, 1e-5",
        over <= 0 and error <= 1e-5,
        {"iterations_over_bound": over, "share_at_bound": needed, "error": error},
    )


def oracle_comparison(rng) -> Row:
    trees = [(random_tree(rng, depth), depth) for depth in (3, 4) for _ in range(25)]
    shapes = ((2, 2), (3, 3), (4, 2), (3, 4), (4, 4))
    tables = [(random_table(rng, 10, *shape), 3) for shape in shapes for _ in range(10)]
    tree_error = max(oracle_error(*each) for each in trees)
    table_error = max(oracle_error(*each) for each in tables)
    return Row(
        "Backward induction against NumPy + HiGHS, 50 trees and 50 games",
        f"value error {tree_error:.1e} on trees, {table_error:.1e} on games",
        "1e-5",
        max(tree_error, table_error) <= 1e-5,
        {"tree_error": tree_error, "game_error": table_error},
    )


def oracle_error(table, horizon: int) -> float:
    solution = backward_induction(table, horizon)
    return largest_error(solution, solve_by_backward_induction(table, horizon))


def costly_share(rng) -> Row:
    nodes = np.arange(2**10 - 1)
    depth = np.floor(np.log2(nodes + 1)).astype(int)
    shares = [
        np.mean(np.asarray(backward_induction(random_tree(rng, 10), 10).action)[depth, nodes])
        for _ in range(60)
    ]
    share, error = float(np.mean(shares)), float(np.std(shares) / np.sqrt(len(shares)))
    return Row(
        "States of 60 trees of depth 10 where the costly action is wanted",
        f"{share:.1%} (standard error {error:.1%})",
        "57.6% ± 1%",
        bool(abs(share - 0.576) <= 0.01),
        {"share": share, "standard_error": error},
    )


def theorem_3_4(rng, gamma: float, is_observed: bool) -> list[Row]:
    """Three readings of "an iteration is a contraction in the sup-norm", on the same tables."""
    count, states = STATIONARY_TABLES, STATIONARY_STATES
    draw = functools.partial(random_table, rng, states, 3, 3, gamma=gamma, is_observed=is_observed)
    tables = stack([draw() for _ in range(count)])
    responses = rng.uniform(-2, 1, (count, states, 3)).astype(np.float32)
    starts = rng.uniform(0, 3, (count, states, 3)).astype(np.float32)
    name = f"Theorem 3.4, {'observed' if is_observed else 'hidden'} actions, γ = {gamma}"
    # Over the tables, in both.
    fixed = jax.vmap(lambda table, q: principal_backups(table, 60, q))(tables, responses)
    together = jax.vmap(lambda table: principal_backups(table, 60))(tables)
    rows = [
        ratio_row(f"{name}: the principal's backup, response fixed", fixed, gamma, has_bar=True),
        ratio_row(f"{name}: backups of both in lockstep", together, gamma),
    ]
    for start, contracts in (("zero", 0 * starts), ("random", starts)):
        changes, cycling = algorithm_1(tables, contracts)
        row = ratio_row(f"{name}: iterations of Algorithm 1 from {start} contracts", changes, gamma)
        rows.append(settling_row(row, cycling, count, is_observed))
    return rows


def algorithm_1(tables: TabularGame, starts: np.ndarray) -> tuple[np.ndarray, int]:
    """The changes of the principal's Q, per table and iteration; how many tables do not settle."""
    # Over the tables.
    run = jax.vmap(lambda table, b: stationary_meta_algorithm(table, b, max_iterations=ITERATIONS))
    result = run(tables, starts)
    # The first change is measured from zero, which is no iteration's result.
    changes = np.asarray(result.principal_q_change)[:, 1:]
    return changes, int(np.sum(np.asarray(result.iterations) == ITERATIONS))


def settling_row(row: Row, cycling: int, count: int, is_observed: bool) -> Row:
    """Adds how many did not settle. All must with observed actions; with hidden ones some cycle."""
    return row._replace(
        measured=f"{row.measured}; {cycling} of {count} not settled after {ITERATIONS}",
        bar="all settle" if is_observed else "",
        passed=cycling == 0 if is_observed else None,
        values=row.values | {"not_settled": cycling},
    )


def ratio_row(what: str, changes, gamma: float, has_bar: bool = False) -> Row:
    ratios = np.array([largest_ratio(row) for row in np.asarray(changes)])
    largest, above = float(ratios.max()), int(np.sum(ratios > gamma + 0.01))
    return Row(
        what,
        f"largest ratio {largest:.3f}, above γ in {above} of {len(ratios)} games",
        f"{gamma} + 0.001" if has_bar else "",
        largest <= gamma + 1e-3 if has_bar else None,
        {"largest_ratio": largest, "median_ratio": float(np.median(ratios)), "above": above},
    )


def long_horizon(rng) -> Row:
    error = 0.0
    for is_observed in (False, True):
        for _ in range(5):
            table = random_table(rng, 10, 3, 3, gamma=0.8, is_observed=is_observed)
            first = jax.tree.map(lambda leaf: leaf[0], backward_induction(table, 100))
            error = max(error, largest_error(value_iteration(table), first))
    return Row(
        "Value iteration against backward induction over 100 steps, 10 games, γ = 0.8",
        f"value error {error:.1e}",
        "1e-4",
        error <= 1e-4,
        {"error": error},
    )


def speed(rng, depth: int) -> Row:
    tree = jax.device_put(random_tree(rng, depth))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        jax.block_until_ready(backward_induction(tree, depth))
        seconds.append(time.perf_counter() - start)
    first, median = seconds[0], float(np.median(seconds[1:]))
    return Row(
        f"Backward induction of a tree of depth {depth} ({2**depth - 1:,} states)",
        f"{1000 * median:.1f} ms, median of 7; compiled in {first - median:.1f} s",
        "1 s",
        median <= 1,
        {"seconds": median, "compile_seconds": first - median},
    )


def main() -> int:
    options = parse_options(__doc__)
    # Before anything else, so that nothing has been compiled yet.
    rows = [speed(np.random.default_rng(depth), depth) for depth in (10, 14)]
    for seed, measure in enumerate(
        (figure_one, theorem_3_3, oracle_comparison, costly_share, long_horizon)
    ):
        rows.append(measure(np.random.default_rng(seed)))
    for gamma in GAMMAS:
        for is_observed in (False, True):
            rows += theorem_3_4(np.random.default_rng(0), gamma, is_observed)
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
