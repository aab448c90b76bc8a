"""What the tests and the benchmark of the exact solutions share.

A slow solver in NumPy and HiGHS that shares no code with the package, tables to solve, and the
measurement of Theorem 3.4. The oracle is float64; the tables are rounded to float32, so that both
solvers get the same numbers.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from jaxparl.contracts import expected_payment
from jaxparl.equilibrium.tabular import PrincipalChoice, best_choice, least_contracts, over_states
from jaxparl.equilibrium.tabular import truncated_q as truncated_q_of_state
from jaxparl.types import TabularGame


class OracleSolution(NamedTuple):
    """`action` and both values `[T, S]`, `contract` `[T, S, O]`, all for t < T."""

    action: np.ndarray
    contract: np.ndarray
    agent_value: np.ndarray
    principal_value: np.ndarray


def least_payment(q_truncated, outcome_probs, action):
    """Payments `[O]` of the least contract for `action` by HiGHS, or None if there is none."""
    others = [other for other in range(len(q_truncated)) if other != action]
    result = linprog(
        outcome_probs[action],
        A_ub=outcome_probs[others] - outcome_probs[action],
        b_ub=q_truncated[action] - q_truncated[others],
        bounds=(0, None),
        method="highs",
    )
    if result.status == 2:  # infeasible
        return None
    assert result.status == 0, result.message
    return result.x


def solve_by_backward_induction(table: TabularGame, horizon: int) -> OracleSolution:
    """The subgame-perfect equilibrium, one state and one linear program at a time."""
    reward, principal_reward, probs, successor, successor_probs, gamma = (
        np.asarray(array, np.int64 if array is table.successor else np.float64)
        for array in vars(table).values()
    )
    states, _, outcomes = probs.shape
    solution = OracleSolution(
        action=np.zeros((horizon, states), int),
        contract=np.zeros((horizon, states, outcomes)),
        agent_value=np.zeros((horizon + 1, states)),
        principal_value=np.zeros((horizon + 1, states)),
    )
    for t in reversed(range(horizon)):
        for s in range(states):
            weight = gamma * successor_probs[s]
            agent_next = (weight * solution.agent_value[t + 1][successor[s]]).sum(-1)
            principal_next = (weight * solution.principal_value[t + 1][successor[s]]).sum(-1)
            q_truncated = reward[s] + probs[s] @ agent_next
            q_principal = probs[s] @ (principal_reward[s] + principal_next)
            best = -np.inf
            for a in range(len(q_truncated)):
                payments = least_payment(q_truncated, probs[s], a)
                if payments is None or q_principal[a] - probs[s, a] @ payments <= best:
                    continue
                best = q_principal[a] - probs[s, a] @ payments
                solution.action[t, s] = a
                solution.contract[t, s] = payments
                solution.agent_value[t, s] = q_truncated[a] + probs[s, a] @ payments
                solution.principal_value[t, s] = best
    return solution._replace(
        agent_value=solution.agent_value[:-1], principal_value=solution.principal_value[:-1]
    )


def largest_error(solution, oracle: OracleSolution) -> float:
    """The largest difference of either player's value in any state at any step."""
    agent = np.abs(np.asarray(solution.agent_value) - oracle.agent_value).max()
    principal = np.abs(np.asarray(solution.principal_value) - oracle.principal_value).max()
    return float(max(agent, principal))


# --- Tables -----------------------------------------------------------------------------------


def figure_one_table() -> TabularGame:
    """The paper's Figure 1: s0, then sL or sR by the outcome, then the end (T = 2)."""
    return TabularGame(
        agent_reward=np.array([[-0.8, 0.0]] * 3, np.float32),
        principal_reward=np.array([[14 / 9, 0.0]] * 3, np.float32),
        outcome_probs=np.array([[[0.9, 0.1], [0.1, 0.9]]] * 3, np.float32),
        successor=np.array([[[1], [2]], [[0], [0]], [[0], [0]]], np.int32),
        successor_probs=np.array([[[1], [1]], [[0], [0]], [[0], [0]]], np.float32),
        discount=np.float32(1),
    )


def random_tree(rng: np.random.Generator, depth: int) -> TabularGame:
    """The paper's Section 5 tree, in heap order: outcome `o` leads from `i` to `2 i + 1 + o`.

    The `2^depth - 1` decision states are states; what follows the last row is the end.
    """
    states = 2**depth - 1
    successor = (2 * np.arange(states)[:, None] + 1 + np.arange(2))[..., None]
    is_inner = successor < states
    cost = rng.uniform(0, 1 - rng.uniform(0, 1, states))
    gain = rng.uniform(0, 2 - rng.uniform(0, 2, states))
    zeros = np.zeros(states)
    return TabularGame(
        agent_reward=np.stack([zeros, -cost], -1).astype(np.float32),
        principal_reward=np.stack([zeros, gain], -1).astype(np.float32),
        outcome_probs=np.tile(np.array([[0.9, 0.1], [0.1, 0.9]], np.float32), (states, 1, 1)),
        successor=np.where(is_inner, successor, 0).astype(np.int32),
        successor_probs=is_inner.astype(np.float32),
        discount=np.float32(1),
    )


def random_table(
    rng: np.random.Generator,
    states: int,
    actions: int,
    outcomes: int,
    *,
    gamma: float = 1.0,
    is_observed: bool = False,
) -> TabularGame:
    """Random rewards, outcome rows, up to three successors and some chance of ending.

    Where `is_observed`, the outcome is the action itself and `outcomes` must equal `actions`.
    """
    shape = (states, outcomes, 3)
    ends = rng.uniform(0, 0.3, (states, outcomes, 1)) * (rng.uniform(size=(states, 1, 1)) < 0.5)
    outcome_probs = rng.dirichlet(np.ones(outcomes), (states, actions))
    if is_observed:
        outcome_probs = np.tile(np.eye(actions), (states, 1, 1))
    return TabularGame(
        agent_reward=rng.uniform(-1, 0, (states, actions)).astype(np.float32),
        principal_reward=rng.uniform(0, 2, (states, outcomes)).astype(np.float32),
        outcome_probs=outcome_probs.astype(np.float32),
        successor=rng.integers(0, states, shape, dtype=np.int32),
        successor_probs=(rng.dirichlet(np.ones(3), shape[:2]) * (1 - ends)).astype(np.float32),
        discount=np.float32(gamma),
    )


def stack(tables: list[TabularGame]) -> TabularGame:
    """Tables of one shape as one, with a leading axis to `vmap` over."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *tables)


# --- Theorem 3.4: is an iteration a contraction of the principal's Q? -------------------------


@functools.partial(jax.jit, static_argnums=1)
def principal_backups(table: TabularGame, count: int, q_truncated=None):
    """The sup-norm change `[count]` of contractual Q in successive backups, from zero.

    The agent's response is fixed where its truncated Q `[S, A]` is given: then this is value
    iteration of the principal's MDP. Otherwise both players back up at the same time.
    """

    def step(carry, _):
        agent_value, before = carry
        q_now = q_truncated
        if q_now is None:
            q_now = over_states(truncated_q_of_state, table, None)(agent_value)
        contracts = over_states(least_contracts, table, 0)(q_now)
        choice = over_states(best_choice, table, 0, None)(contracts, before.value)
        paid = jax.vmap(expected_payment)(choice.payments, table.outcome_probs)  # Over S.
        utility = q_now + paid
        agent_value = jnp.take_along_axis(utility, choice.action[:, None], axis=1)[:, 0]
        comparable = choice.implementable & before.implementable
        change = jnp.max(jnp.abs(choice.q - before.q), where=comparable, initial=0.0)
        return (agent_value, choice), change

    states, actions = table.agent_reward.shape
    nothing = PrincipalChoice(
        q=jnp.zeros((states, actions)),
        implementable=jnp.ones((states, actions), bool),
        action=jnp.zeros(states, jnp.int32),
        payments=jnp.zeros(table.principal_reward.shape),
        value=jnp.zeros(states),
    )
    return jax.lax.scan(step, (jnp.zeros(states), nothing), None, length=count)[1]


def largest_ratio(changes) -> float:
    """The largest ratio of a change to the one before it; a contraction keeps it below gamma.

    Changes below 0.01 are left out: their ratio would be that of float32's rounding errors.
    """
    before, after = np.asarray(changes)[:-1], np.asarray(changes)[1:]
    return float(np.max(after / np.maximum(before, 1e-2), where=before >= 1e-2, initial=0.0))
