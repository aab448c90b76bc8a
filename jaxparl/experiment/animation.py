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
# The size of the text in points, and what fits beside the picture: characters times points.
_TEXT_SIZE, _TEXT_SPACE = 9.0, 440.0


def episode(path: Path, env: Environment, steps: Step) -> None:
    """Draws an episode as a GIF: the game, and beside it recommendations, actions and payments.

    There is a frame for every step, of the state before it, and one for how the game stands then.

    Args:
      path: of the GIF.
      env: a game that can draw its states.
      steps: the steps of the episode, with a leading axis T.
    """
    steps = jax.tree.map(np.asarray, steps)
    length = len(steps.action)
    states = jax.tree.map(
        lambda before, after: np.concatenate([before, after[-1:]]),
        steps.env_state,
        steps.next_env_state,
    )
    with mpl.rc_context({**STYLE, "axes.prop_cycle": cycler(color=_AGENT_COLOURS)}):
        figure = new_figure(7.4, 3.5)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))

        def frame(number: int) -> None:
            step = min(number, length - 1)
            title = f"step {step + 1} of {length}" if number == step else f"after step {length}"
            left.clear()
            left.grid(False)
            env.draw(left, jax.tree.map(lambda leaf: leaf[number], states))
            left.set_title(title, loc="left", fontsize=10)
            right.clear()
            _draw_sums(right, steps, step)
            lines = _describe_step(env, steps, step)
            size = min(_TEXT_SIZE, _TEXT_SPACE / max(map(len, lines)))
            right.set_title("\n".join(lines), loc="left", fontsize=size, family="monospace")

        # Without an init_func of its own the animation would draw the first frame twice.
        animation = FuncAnimation(figure, frame, frames=length + 1, init_func=lambda: None)
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


def _describe_step(env: Environment, steps: Step, step: int) -> list[str]:
    """A line per agent: what was recommended, what it did, what it earned and was paid."""
    width = max(map(len, env.action_labels))

    def line(agent: int) -> str:
        asked, done = steps.recommendation[step, agent], steps.action[step, agent]
        label = env.action_labels[asked] if asked >= 0 else "-"
        earned, paid = steps.reward[step, agent], steps.payment[step, agent]
        return (
            f"agent {agent}: asked {label:{width}} does {env.action_labels[done]:{width}} "
            f"earns {earned:4.1f} paid {paid:5.2f}"
        )

    return [line(agent) for agent in range(steps.action.shape[1])]
