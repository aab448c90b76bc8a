"""What black boxes play by what they have learned, however they learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jaxparl.evaluation.rollouts import Decide
from jaxparl.types import PyTree
from jaxparl.validation import dqn, estimated, metrics, ppo
from jaxparl.validation.black_boxes import BlackBoxes
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.metrics import OneAgentMetrics, Policy, ValidationMetrics
from jaxparl.validation.terms import offered

#: How black boxes may learn, by name.
BLACK_BOXES: dict[str, Any] = {"dqn": dqn, "ppo": ppo}


def decide(boxes: BlackBoxes, own_policy: Policy) -> Decide:
    """Black boxes play by a policy of theirs: a `Decide` for an episode."""

    def decided(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offers = offered(boxes.principal, boxes.terms, env_state)
        action = own_policy(env_state, offers.recommendation)
        return offers.recommendation, action, offers.settled(action)

    return decided


def evaluate(
    boxes: BlackBoxes,
    policy: Callable[[Any, PyTree], Policy],
    state: Any,
    loss: jax.Array,
) -> ValidationMetrics | OneAgentMetrics | EstimatedMetrics:
    """Evaluates the agents' target weights; `loss` is their mean since the last evaluation."""
    own_policy = policy(boxes, state.agent.target_params)
    if boxes.problem.env.exact is not None:
        return metrics.evaluate(boxes.principal, boxes.terms, own_policy, loss)
    return estimated.evaluate(
        boxes.principal, boxes.terms, own_policy, key=state.key, agent_loss=loss
    )
