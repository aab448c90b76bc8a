"""What a notebook shows, executed by a real kernel."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra docs")
nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra docs")
pytest.importorskip("ipykernel", reason="notebooks need the extra docs")

CELLS = (
    """
import logging
from pathlib import Path
import jax, jaxparl
from jaxparl import startup
from jaxparl.experiment.options import Job, RunOptions

startup.start([])  # compiled programs are kept, as in the other tests
jax.config.update("jax_disable_most_optimizations", True)
env, _ = jaxparl.make("game_tree", depth=2)
config = jaxparl.Config(
    iterations=20, target_interval=1, evaluation_interval=1, hidden_sizes=(8,), replay_capacity=80
)
def job(name):
    options = RunOptions(games="0:1", seeds="0:2", out=Path(name))
    return Job("game_tree", "tree", env.settings, options, config)
folder = jaxparl.run_job(job("first"), env)
handlers = [*logging.root.handlers]
""",
    'jaxparl.run_job(job("second"), env)\nassert logging.root.handlers == handlers',
    "jaxparl.load(folder)",
    "jaxparl.plot(folder)",
)


class Executed(NamedTuple):
    """The outputs of all cells, and how often each kind of message came for a cell."""

    outputs: list[list[Any]]
    messages: list[Counter[str]]


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Executed:
    messages: list[Counter[str]] = [Counter() for _ in CELLS]

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, cell_index):
            messages[cell_index][msg["msg_type"]] += 1
            return super().process_message(msg, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, CELLS)])
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    Client(notebook, kernel_name="python3", resources=place, timeout=300).execute()
    return Executed([cell.outputs for cell in notebook.cells], messages)


@pytest.mark.parametrize("number", [0, 1])
def test_progress_is_redrawn_in_place_and_ends_as_one_line(number, executed):
    shown = [each.data for each in executed.outputs[number] if each.output_type == "display_data"]
    assert [[*data] for data in shown] == [["text/plain"]]
    assert shown[0]["text/plain"].startswith("training 100%  ")
    assert "0:00 left" in shown[0]["text/plain"]
    assert executed.messages[number]["update_display_data"] >= 1


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_is_printed_twice(number, executed):
    printed = [each for each in executed.outputs[number] if each.output_type == "stream"]
    text = "".join(each.text for each in printed)
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[0].startswith("game_tree (quick): 1 game x 2 seeds, 20 iterations each")
    assert lines[-1].startswith("figure, curves and summary: ")
    assert len(set(lines)) == len(lines)
    assert {each.name for each in printed} == {"stdout"}
    assert "\x1b" not in text, "colours would be written as they are"


def test_a_principal_is_shown_as_a_table_of_what_it_learned_beside_what_is_exact(executed):
    (shown,) = executed.outputs[2]
    text, html = (shown.data[kind] for kind in ("text/plain", "text/html"))
    title, header, _, row = text.splitlines()
    assert title == "TrainedPrincipal of game_tree, after 20 iterations:"
    assert header.split()[:2] == ["principal", "exact"]
    assert row.split()[:4] == ["tree", "0", "2", "seeds"]
    assert all(f"<td>{cell}</td>" in html for cell in row.split()[4:])


def test_a_figure_is_shown_although_nobody_has_imported_pyplot(executed):
    (shown,) = executed.outputs[3]
    assert "image/png" in shown.data
