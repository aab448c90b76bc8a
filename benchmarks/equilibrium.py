"""Are the exact solutions exact, do the paper's theorems hold on them, and how fast are they?

    python benchmarks/equilibrium.py [--out results.json]

Solves Figure 1 and random games by Algorithm 1 from random contracts and compares with backward
induction, backward induction with a NumPy and HiGHS oracle, and measures what Theorem 3.4 says of
games without a horizon. Takes some minutes. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jax
import numpy as np
from report_card import Row, parse_options, report

from jaxparl.equilibrium import backward_induction, meta_algorithm
from jaxparl.stationary import stationary_meta_algorithm, value_iteration

# The slow solver is shared with the tests, and part of neither package nor installation.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles import (
    figure_one_game,
    largest_error,
    largest_ratio,
    principal_backups,
    random_game,
    random_tree,
    solve_by_backward_induction,
    stack,
)

# Ten kinds of games, of which twenty each are drawn: states, actions, outcomes, horizon.
KINDS = (
    *((30, 2, 2, 2), (30, 3, 3, 2), (20, 4, 2, 3), (30, 2, 4, 3), (12, 4, 4, 4)),
    *((30, 3, 2, 4), (20, 3, 3, 5), (30, 4, 3, 5), (10, 2, 2, 6), (30, 3, 4, 6)),
)
GAMES_A_KIND = 20
STATIONARY_GAMES, STATIONARY_STATES, ITERATIONS = 100, 8, 60
DISCOUNTS = (0.5, 0.9)


def figure_one(rng) -> Row:
    game = figure_one_game()
    starts = rng.uniform(0, 3, (1000, 2, 3, 2)).astype(np.float32)
    # Over 1,000 starts.
    result = jax.vmap(lambda start: meta_algorithm(game, 2, start))(starts)
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
        games = [random_game(rng, states, actions, outcomes) for _ in range(GAMES_A_KIND)]
        starts = rng.uniform(0, 3, (GAMES_A_KIND, horizon, states, outcomes)).astype(np.float32)
        # Over the games of one kind.
        solve = jax.vmap(lambda game, start, T=horizon: meta_algorithm(game, T, start))
        result = solve(stack(games), starts)
        exact = jax.vmap(lambda game, T=horizon: backward_induction(game, T))(stack(games))
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
    games = [(random_game(rng, 10, *shape), 3) for shape in shapes for _ in range(10)]
    tree_error, game_error = (
        max(
            largest_error(backward_induction(game, T), solve_by_backward_induction(game, T))
            for game, T in pairs
        )
        for pairs in (trees, games)
    )
    return Row(
        "Backward induction against NumPy + HiGHS, 50 trees and 50 games",
        f"value error {tree_error:.1e} on trees, {game_error:.1e} on games",
        "1e-5",
        max(tree_error, game_error) <= 1e-5,
        {"tree_error": tree_error, "game_error": game_error},
    )


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


def theorem_3_4(rng, discount: float, is_observed: bool) -> list[Row]:
    """Three readings of "an iteration is a contraction in the sup-norm", on the same games."""
    count, states = STATIONARY_GAMES, STATIONARY_STATES
    games = stack([random_game(rng, states, 3, 3, discount, is_observed) for _ in range(count)])
    responses = rng.uniform(-2, 1, (count, states, 3)).astype(np.float32)
    starts = rng.uniform(0, 3, (count, states, 3)).astype(np.float32)
    name = f"Theorem 3.4, {'observed' if is_observed else 'hidden'} actions, γ = {discount}"
    # Over the games, in all of these.
    fixed = jax.vmap(lambda game, q: principal_backups(game, 60, q))(games, responses)
    lockstep = jax.vmap(lambda game: principal_backups(game, 60))(games)
    run = jax.vmap(lambda game, b: stationary_meta_algorithm(game, b, max_iterations=ITERATIONS))
    from_zero, from_random = run(games, 0 * starts), run(games, starts)
    rows = [
        ratio_row(f"{name}: the principal's backup, response fixed", fixed, discount, True),
        ratio_row(f"{name}: backups of both in lockstep", lockstep, discount, False),
    ]
    for start, result in (("zero", from_zero), ("random", from_random)):
        # The first change is measured from zero, which is no iteration's result.
        row = ratio_row(
            f"{name}: iterations of Algorithm 1 from {start} contracts",
            np.asarray(result.principal_q_change)[:, 1:],
            discount,
            False,
        )
        circling = int(np.sum(np.asarray(result.iterations) == ITERATIONS))
        # With observed actions it has to settle; with hidden ones some games go in a circle.
        rows.append(
            row._replace(
                measured=f"{row.measured}; {circling} of {count} not settled after {ITERATIONS}",
                bar="all settle" if is_observed else "",
                passed=circling == 0 if is_observed else None,
                values=row.values | {"not_settled": circling},
            )
        )
    return rows


def ratio_row(what: str, changes, discount: float, has_bar: bool) -> Row:
    ratios = np.array([largest_ratio(row) for row in np.asarray(changes)])
    largest, above = float(ratios.max()), int(np.sum(ratios > discount + 0.01))
    return Row(
        what,
        f"largest ratio {largest:.3f}, above γ in {above} of {len(ratios)} games",
        f"{discount} + 0.001" if has_bar else "",
        largest <= discount + 1e-3 if has_bar else None,
        {"largest_ratio": largest, "median_ratio": float(np.median(ratios)), "above": above},
    )


def long_horizon(rng) -> Row:
    error = 0.0
    for is_observed in (False, True):
        for _ in range(5):
            game = random_game(rng, 10, 3, 3, 0.8, is_observed)
            first = jax.tree.map(lambda table: table[0], backward_induction(game, 100))
            error = max(error, largest_error(value_iteration(game), first))
    return Row(
        "Value iteration against backward induction over 100 steps, 10 games, γ = 0.8",
        f"value error {error:.1e}",
        "1e-4",
        error <= 1e-4,
        {"error": error},
    )


def speed(rng, depth: int) -> Row:
    game = jax.device_put(random_tree(rng, depth))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        jax.block_until_ready(backward_induction(game, depth))
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
    # Before anything else, so that compiling is measured from cold.
    rows = [speed(np.random.default_rng(depth), depth) for depth in (10, 14)]
    for seed, measure in enumerate(
        (figure_one, theorem_3_3, oracle_comparison, costly_share, long_horizon)
    ):
        rows.append(measure(np.random.default_rng(seed)))
    for discount in DISCOUNTS:
        for is_observed in (False, True):
            rows += theorem_3_4(np.random.default_rng(0), discount, is_observed)
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
