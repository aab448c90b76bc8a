"""What gpu.py measures in processes of their own: each task yields what it finds, for JSON.

    python -m parts.gpu.measuring TASK ARGUMENTS

`children.measure` starts it, and reads a line for every value.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import breakdown
import jax
import jax.numpy as jnp
import numpy as np
import throughput
from contracts import random_programs
from report_card import compile_everything

from jaxparl.contracts import minimal_contract
from jaxparl.experiment.provenance import numerics
from jaxparl.learning.state import RunState, Weights, online_weights
from jaxparl.types import PyTree
from parts.gpu import launches
from parts.iteration import iterate, loop, train_a_little

Found = Iterator[dict[str, Any]]

#: Of matrix products: what users get, and float32 throughout.
PRECISIONS = ("default", "highest")
#: Actions and outcomes of the programs that are priced.
SHAPES = ((2, 2), (4, 4), (10, 10))


def device() -> Found:
    """The device, its memory, and the settings that decide which bits it computes."""
    [first, *_] = jax.devices()
    memory = first.memory_stats() or {}
    names = (each.metadata["Name"] for each in importlib.metadata.distributions())
    plugins = sorted({name for name in names if name.lower().startswith(("jax-cuda", "jax_cuda"))})
    yield {
        "kind": first.device_kind,
        "bytes": memory.get("bytes_limit"),
        "platform": " ".join(first.client.platform_version.split()),
        "plugins": {name: importlib.metadata.version(name) for name in plugins},
        "numerics": numerics(),
    }


def rates(name: str, options: Sequence[str], most: int, factor: int) -> Found:
    """Training of one run and of more; `measured` is None where they do not fit."""
    compile_everything()
    learns = throughput.learner_of(*throughput.PAPERS[name], *options)
    for runs, measured in throughput.growing(learns, most, factor):
        yield {
            "runs": runs,
            "num_envs": learns.problem.config.num_envs,
            "measured": measured and measured._asdict(),
        }


def steps(name: str, options: Sequence[str], size: int) -> Found:
    """Where the time of an iteration goes: the rows of breakdown.py."""
    for row in breakdown.part(name, options, size):
        yield {**row._asdict(), "values": dict(row.values)}


def kernels(name: str, options: Sequence[str]) -> Found:
    """What an iteration of one run launches, by the compiled program."""
    learns = throughput.learner_of(*throughput.PAPERS[name], *options)
    state = jax.eval_shape(learns.init, jax.random.key(0))
    compiled = loop(partial(iterate, learns)).lower(state).compile()
    yield launches.of_iteration(compiled.as_text())._asdict()


def products(size: int) -> Found:
    """How far a matrix product is from the exact one, by precision (norms)."""
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(size, size)).astype(np.float32) for _ in range(2))
    exact = one.astype(float) @ other.astype(float)
    for precision in PRECISIONS:
        found = jax.jit(partial(jnp.matmul, precision=precision))(one, other)
        yield {"precision": precision, "error": _apart(np.asarray(found, float), exact)}


def payments(count: int) -> Found:
    """How far the least payments of random programs are apart, by the precision of products."""
    rng = np.random.default_rng(0)
    for actions, outcomes in SHAPES:
        programs = random_programs(rng, "dense", count, actions, outcomes)
        default, highest = _at_precisions(jax.vmap(minimal_contract), *programs)
        yield {
            "actions": actions,
            "outcomes": outcomes,
            "apart": float(np.max(np.abs(default.payments - highest.payments))),
            "flags": int(np.sum(default.implementable != highest.implementable)),
        }


def one_iteration(name: str, options: Sequence[str]) -> Found:
    """How far offers, and the weights after an iteration, are apart, by the precision of products.

    Payments are compared where the same is recommended; weights by norms, in units of how far the
    iteration has moved them.
    """
    trained = train_a_little(*throughput.PAPERS[name], *options)
    learns, before, batch = trained.learner, trained.state, trained.batch(jnp.int32(0))
    start = online_weights(before)
    offer = jax.vmap(partial(learns.offer, start))  # over B
    default, highest = _at_precisions(offer, batch.env_state, batch.follows)
    same = default.recommendation == highest.recommendation
    apart = np.abs(default.contract.payments - highest.contract.payments)[same]

    def weights_after(state: RunState, number: jax.Array) -> Weights:
        return online_weights(iterate(learns, state, number))

    after = _at_precisions(weights_after, before, jnp.int32(0))
    yield {
        "same": float(np.mean(same)),
        "payments": float(np.max(apart, initial=0.0)),
        "largest": float(np.max(highest.contract.payments)),
        **{
            who: _of_a_step(*(getattr(weights, who) for weights in (*after, start)))
            for who in ("agent", "principal")
        },
    }


def _at_precisions(function: Callable[..., PyTree], *given: PyTree) -> list[Any]:
    """What a function finds at each precision of its products, in NumPy."""
    found = []
    for precision in PRECISIONS:
        with jax.default_matmul_precision(precision):
            found.append(jax.device_get(jax.jit(function)(*given)))
    return found


def _of_a_step(default: PyTree, highest: PyTree, before: PyTree) -> float:
    """How far two changes of weights are apart, of the second."""
    start = _flat(before)
    return _apart(_flat(default) - start, _flat(highest) - start)


def _apart(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _flat(tree: PyTree) -> np.ndarray:
    """All numbers of a tree, in float64."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in jax.tree.leaves(tree)])


TASKS: dict[str, Callable[..., Found]] = {
    task.__name__: task
    for task in (device, rates, steps, kernels, products, payments, one_iteration)
}


def main() -> None:
    """Prints what the task finds, and nothing else: what libraries print goes where errors go."""
    task, arguments = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as found:
        os.dup2(2, 1)
        try:
            for value in TASKS[task](**json.loads(arguments)):
                print(json.dumps(value), file=found, flush=True)
        except Exception as error:
            traceback.print_exc()
            # The last line: JAX appends a remark to its own errors.
            sys.exit(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


if __name__ == "__main__":
    main()
