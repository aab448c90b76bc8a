"""Are the least-payment contracts right, and how many a second?

    python benchmarks/contracts.py [--out results.json]

Compares 10,000 random programs, and 5,000 harder ones, with SciPy's HiGHS, which gets the same
float32 inputs in float64. Times batches that are compiled and warm. Exits with 1 if a bar is
missed: a relative error of 1e-5, equal flags wherever the exact payment is at most 1e4, all numbers
finite, and 100,000 programs of 4 actions and 4 outcomes a second.
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import jax
import numpy as np
from report_card import Row, parse_options, report
from scipy.optimize import linprog

from jaxparl.contracts import minimal_contract

PROGRAMS = {"dense": 5000, "zeros": 5000, "scaled": 2500, "degenerate": 2500}
BATCH = 4096
ERROR_BAR = 1e-5
LARGE_PAYMENT = 1e4
THROUGHPUT_BAR = 100_000
# [B] programs of one shape.
solve = jax.jit(jax.vmap(minimal_contract))


class Programs(NamedTuple):
    """A batch `[B]` of programs of one shape, float32."""

    q: np.ndarray  # [B, A]
    probs: np.ndarray  # [B, A, O]
    action: np.ndarray  # [B]
    nudge: np.ndarray  # [B]


def random_programs(rng, kind: str, count: int, actions: int, outcomes: int) -> Programs:
    """Draws programs: `dense` or with `zeros`, or harder: Q of 1e-3 to 1e3, degenerate rows."""
    probs = rng.dirichlet(np.ones(outcomes), (count, actions))
    if kind != "dense":
        keep = rng.random(probs.shape) < 0.6
        keep |= np.arange(outcomes) == rng.integers(outcomes, size=(count, actions, 1))
        probs = np.where(keep, probs, 0)
        probs /= probs.sum(axis=-1, keepdims=True)
    q = rng.normal(size=(count, actions))
    nudge = rng.choice([0.0, 0.01, 0.1], count)
    if kind == "scaled":
        scale = 10 ** rng.uniform(-3, 3, count)
        q, nudge = q * scale[:, None], nudge * scale
    if kind == "degenerate":
        # Certain outcomes, halves and quarters: many ties.
        draws = rng.choice([1, 2, 4], (count, 1))
        uniform = np.full(outcomes, 1 / outcomes)
        round_numbers = rng.multinomial(draws, uniform, (count, actions)) / draws[..., None]
        probs = np.where(rng.random((count, actions, 1)) < 0.7, round_numbers, probs)
        # The last action copies the outcomes of the first, and sometimes its value.
        probs[:, -1] = np.where(rng.random((count, 1)) < 0.5, probs[:, 0], probs[:, -1])
        q = np.where(rng.random((count, 1)) < 0.5, np.round(q * 2) / 2, q)
    action = rng.integers(actions, size=count)
    return Programs(q.astype("f4"), probs.astype("f4"), action, nudge.astype("f4"))


def exact_expected_payment(q, probs, action, nudge) -> float:
    """Solves one program by HiGHS in float64; infinite where it is not implementable.

    Written in what each outcome costs, c(o) b(o), relative to the largest gap in value: so the
    solver's tolerances, which are absolute, mean the same for every program.
    """
    q, probs, nudge = np.float64(q), np.float64(probs), np.float64(nudge)
    others = np.arange(len(q)) != action
    gap = q[others] - q[action] + nudge
    if np.all(gap <= 0):
        return 0.0
    cost = probs[action]
    gain = (cost - probs[others])[:, cost > 0] / cost[cost > 0]
    scale = np.abs(gap).max()
    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    ones = np.ones(gain.shape[1])
    result = linprog(ones, -gain, -gap / scale, method="highs-ds", options=options)
    if result.status == 4:
        # Once in thousands the solver gives up: then the dual, whose optimum is the same.
        result = linprog(-gap / scale, gain.T, ones, method="highs-ds", options=options)
        result.fun = None if result.fun is None else -result.fun
    if result.status == 0:
        return result.fun * scale
    if result.status in (2, 3):  # infeasible, or the dual unbounded
        return np.inf
    raise RuntimeError(f"HiGHS could not decide: {result.message}")


class Compared(NamedTuple):
    """Programs `[B]` solved by both: expected payments, and the unit to judge them in."""

    exact: np.ndarray  # infinite where not implementable
    paid: np.ndarray
    implementable: np.ndarray
    scale: np.ndarray
    is_finite: np.ndarray


def solve_both(kind: str, batch: Programs) -> Compared:
    contract = jax.device_get(solve(*batch))
    finite_payments = np.isfinite(contract.payments).all(axis=-1)
    return Compared(
        exact=np.array([exact_expected_payment(*each) for each in zip(*batch, strict=True)]),
        paid=contract.expected_payment.astype(float),
        implementable=contract.implementable,
        # Only where Q is not of order one is a payment judged in units of Q.
        scale=abs(np.float64(batch.q)).max(axis=1) if kind == "scaled" else np.ones(len(batch.q)),
        is_finite=finite_payments & np.isfinite(contract.expected_payment),
    )


def compare(kind: str, count: int, seed: int) -> dict:
    """Compares `count` programs of 2-8 actions and 2-8 outcomes, as many of each shape."""
    rng = np.random.default_rng(seed)
    shapes = [(actions, outcomes) for actions in range(2, 9) for outcomes in range(2, 9)]
    counts = map(len, np.array_split(np.arange(count), len(shapes)))
    parts = [
        solve_both(kind, random_programs(rng, kind, number, *shape))
        for number, shape in zip(counts, shapes, strict=True)
    ]
    found = Compared(*map(np.concatenate, zip(*parts, strict=True)))
    has_solution = np.isfinite(found.exact)
    both = found.implementable & has_solution
    error = np.abs(found.paid - found.exact)[both]
    error /= np.maximum(found.exact[both], 1e-9 * found.scale[both])
    mismatch = found.implementable != has_solution
    payment = np.where(has_solution, found.exact, found.paid)
    is_large = payment > LARGE_PAYMENT * found.scale
    return {
        "kind": kind,
        "programs": count,
        "implementable": int(has_solution.sum()),
        "max_relative_error": float(error.max()),
        "mismatches": int(np.sum(mismatch & ~is_large)),
        "mismatches_large_payment": int(np.sum(mismatch & is_large)),
        "nonfinite": int(np.sum(~found.is_finite)),
    }


def throughput(size: int, batch: int, repeats: int) -> dict:
    """Times `batch` programs of `size` actions and outcomes: the median of `repeats` warm calls."""
    programs = random_programs(np.random.default_rng(size), "dense", batch, size, size)
    programs = jax.device_put(programs)
    start = time.perf_counter()
    compiled = solve.lower(*programs).compile()
    compile_s = time.perf_counter() - start
    jax.block_until_ready(compiled(*programs))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*programs))
        seconds.append(time.perf_counter() - start)
    return {
        "shape": f"{size}x{size}",
        "batch": batch,
        "programs_per_s": round(batch / float(np.median(seconds))),
        "best_programs_per_s": round(batch / min(seconds)),
        "compile_s": round(compile_s, 2),
    }


def accuracy_rows(found: dict) -> list[Row]:
    kind, error, mismatches = found["kind"], found["max_relative_error"], found["mismatches"]
    return [
        Row(
            f"{found['programs']:,} programs, {kind}: largest relative error of the payment",
            f"{error:.1e}",
            f"<= {ERROR_BAR:g}",
            error <= ERROR_BAR,
            found,
        ),
        Row(
            f"{kind}: flags that differ from HiGHS",
            f"{mismatches}, and {found['mismatches_large_payment']} where it pays above 1e4",
            "0",
            mismatches == 0,
        ),
        Row(f"{kind}: NaN or infinite", str(found["nonfinite"]), "0", found["nonfinite"] == 0),
    ]


def speed_row(found: dict) -> Row:
    rate, has_bar = found["programs_per_s"], found["shape"] == "4x4"
    return Row(
        f"{found['shape']}: programs/s, median of 21 batches of {found['batch']}",
        f"{rate:,}; compiled in {found['compile_s']} s",
        f">= {THROUGHPUT_BAR:,}" if has_bar else "",
        rate >= THROUGHPUT_BAR if has_bar else None,
        found,
    )


def main() -> int:
    options = parse_options(__doc__)
    # First, while nothing else has warmed or loaded the machine.
    rows = [speed_row(throughput(size, BATCH, repeats=21)) for size in (2, 4, 8, 10)]
    for seed, (kind, count) in enumerate(PROGRAMS.items()):
        rows += accuracy_rows(compare(kind, count, seed))
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
