"""Animations of episodes. Only this file and `figures` import matplotlib."""

from __future__ import annotations

from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxparl.environment import Environment
from jaxparl.evaluation.rollouts import Step
from jaxparl.experiment.figures import STYLE, new_figure

# Red and blue first, as the agents of the Coin Game are called.
_AGENT_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_FRAMES_PER_SECOND = 2


def episode(path: Path, env: Environment, steps: Step) -> None:
    """Draws an episode as a GIF: the game, and beside it recommendations, actions and payments.

    Args:
      path: of the GIF.
      env: a game that can draw its states.
      steps: the steps of the episode, with a leading axis T.
    """
    steps = jax.tree.map(np.asarray, steps)
    with mpl.rc_context({**STYLE, "axes.prop_cycle": cycler(color=_AGENT_COLOURS)}):
        figure = new_figure(7.4, 3.5)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))

        def frame(step: int) -> None:
            left.clear()
            left.grid(False)
            env.draw(left, jax.tree.map(lambda leaf: leaf[step], steps.env_state))
            left.set_title(f"step {step + 1} of {len(steps.action)}", loc="left", fontsize=10)
            right.clear()
            _draw_sums(right, steps, step)
            title = _describe_step(env, steps, step)
            right.set_title(title, loc="left", fontsize=9, family="monospace")

        # Without an init_func of its own the animation would draw the first frame twice.
        length = len(steps.action)
        animation = FuncAnimation(figure, frame, frames=length, init_func=lambda: None)
        animation.save(path, PillowWriter(fps=_FRAMES_PER_SECOND), dpi=100)


def _draw_sums(axis: Axes, steps: Step, step: int) -> None:
    """What every agent has earned and was paid, until this step."""
    length, num_agents = steps.action.shape
    sums = {"earned": steps.reward.cumsum(axis=0), "paid": steps.payment.cumsum(axis=0)}
    most = max(total.max() for total in sums.values())
    least = min(0.0, *(total.min() for total in sums.values()))
    # Where nobody earns anything, the axis still needs a height.
    axis.set(xlim=(0, length), ylim=(1.05 * least, 1.05 * most if most > 0 else 1.0))
    axis.set_xlabel("steps")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for agent in range(num_agents):
        for (kind, total), style in zip(sums.items(), ("-", ":"), strict=True):
            axis.plot(
                np.arange(step + 2),
                np.concatenate([[0.0], total[: step + 1, agent]]),
                color=f"C{agent}",
                linestyle=style,
                label=f"{kind}, agent {agent}",
            )
    axis.legend(loc="upper left", fontsize=8)


def _describe_step(env: Environment, steps: Step, step: int) -> str:
    """A line per agent: what was recommended, what it did, what it earned and was paid."""

    def line(agent: int) -> str:
        asked, done = steps.recommendation[step, agent], steps.action[step, agent]
        label = env.action_labels[asked] if asked >= 0 else "-"
        earned, paid = steps.reward[step, agent], steps.payment[step, agent]
        return (
            f"agent {agent}: asked {label} does {env.action_labels[done]} "
            f"earns {earned:.1f} paid {paid:.2f}"
        )

    return "\n".join(line(agent) for agent in range(steps.action.shape[1]))
