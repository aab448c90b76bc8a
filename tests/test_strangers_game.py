"""A game in a file outside of the package goes through everything, by commands alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from jaxparl import startup

SCHEMES = (
    *("principal", "principal + nudge", "constant", "constant + nudge"),
    *("cooperative", "selfish"),
)

SOURCE = Path(__file__).parent / "strangers_game.py"
LEARNING = (
    *("--iterations", "400", "--evaluation-interval", "100", "--replay-capacity", "1600"),
    *("--hidden-sizes", "16", "--sweep", "growth=0.25,0.5", "--checkpoint-seconds", "0"),
    "--validate",
)
DEVICES = 3


class Done(NamedTuple):
    """A command that has ended: its exit code, and what it has printed."""

    code: int
    out: str
    err: str


class Journey(NamedTuple):
    """Where the stranger's things are, and what came of the commands, by name."""

    game: Path
    out: Path
    elsewhere: Path
    done: dict[str, Done]


def start(folder: Path, *arguments: str, devices: int | None = DEVICES) -> subprocess.Popen[str]:
    """Starts `python` in a folder, with so many devices; None: as many as it takes by itself."""
    given = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}" if devices else "",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Done:
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, err)


def jaxparl(folder: Path, *arguments: str, devices: int | None = DEVICES) -> Done:
    return end(start(folder, "-m", "jaxparl", *arguments, devices=devices))


def stop_in_training(process: subprocess.Popen[str], shard: Path) -> Done:
    """Sends SIGTERM once something has been evaluated."""
    metrics = shard / "metrics.csv"
    deadline = time.monotonic() + 300
    while not metrics.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    return end(process)


LOADED = """
import json, jax, jaxparl
principals = jaxparl.load("{folder}")
principal = principals.run(seed=1, growth=0.5)
env_state = principal.env.initial_state(jax.random.key(0), principal.problem.env_params)
offer = principal.offer(env_state)
print(json.dumps([
    len(principals.runs),
    float(principal.problem.env_params.growth),
    offer.recommendation.tolist(),
    offer.contract.payments.tolist(),
]))
"""


@pytest.fixture(scope="module")
def journey(tmp_path_factory) -> Journey:
    """Everything that a stranger does with a game, command by command."""
    root = tmp_path_factory.mktemp("stranger")
    game, out, elsewhere = root / "pond" / "pond.py", root / "sweep", root / "elsewhere"
    game.parent.mkdir()
    elsewhere.mkdir()
    shutil.copy(SOURCE, game)
    here, train = game.parent, ("train", "./pond.py:Pond", *LEARNING, "--out", str(out))
    done = {"checked": jaxparl(here, "check", "pond:Pond", devices=None)}
    done["plan"] = jaxparl(here, "plan", "pond:Pond", *LEARNING, devices=None)
    done["first"] = jaxparl(here, *train, "--shard", "0/2")
    shard = out / "shard-1-of-2"
    stopped = start(here, "-m", "jaxparl", *train, "--shard", "1/2", "--resume", "auto")
    done["stopped"] = stop_in_training(stopped, shard)
    # From another folder, and the file is not quite what it was.
    with game.open("a") as file:
        file.write("# A remark.\n")
    again = ("train", f"{game}:Pond", *train[2:], "--shard", "1/2", "--resume", "auto")
    done["resumed"] = jaxparl(elsewhere, *again)
    done["merged"] = jaxparl(elsewhere, "merge", str(out))
    done["loaded"] = end(start(elsewhere, "-c", LOADED.format(folder=out / "merged")))
    return Journey(game, out, elsewhere, done)


def test_every_command_succeeds_and_none_loses_devices(journey):
    for name, done in journey.done.items():
        assert done.code in ((128 + signal.SIGTERM, 0) if name == "stopped" else (0,)), done
        assert "Traceback" not in done.err
        if name not in ("merged", "loaded"):
            devices = startup.cores() if name in ("checked", "plan") else DEVICES
            assert f"{devices} devices\n" in done.err
    assert "MB" in journey.done["plan"].out
    assert "4 states enumerated" in journey.done["checked"].out


def test_a_sweep_of_its_own_param_is_audited_against_an_exact_solution_for_each_value(journey):
    arrays = np.load(journey.out / "merged" / "metrics.npz")
    assert arrays["growth"].tolist() == [0.25, 0.25, 0.5, 0.5]
    best = arrays["optimal_welfare"][:, -1]
    # Three fish, four steps. Two are caught at last; before that, one in each step that one is
    # expected to be born in.
    assert best[0] == best[1] < best[2] == best[3]
    assert (arrays["welfare"][:, -1] <= best + 1e-5).all()
    assert np.isfinite(arrays["deviation_gain"]).all()


def test_its_principals_are_validated_on_black_boxes_beside_exact_values(journey):
    groups = json.loads((journey.out / "merged" / "validation.json").read_text())["groups"]
    by_growth = {growth: set() for growth in (0.25, 0.5)}
    for group in groups:
        by_growth[group["labels"]["growth"]].add(group["labels"]["scheme"])
        assert group["metrics"]["welfare"]["count"] == 2
    assert all(names == set(SCHEMES) for names in by_growth.values())
    validated = np.load(journey.out / "merged" / "validation.npz")
    trained = np.load(journey.out / "merged" / "metrics.npz")
    best = dict(zip(trained["growth"], trained["optimal_welfare"][:, -1], strict=True))
    expected = [best[growth] for growth in validated["growth"]]
    np.testing.assert_allclose(validated["optimal_welfare"][:, -1], expected, rtol=1e-6)
    assert (validated["welfare"] <= validated["optimal_welfare"] + 1e-5).all()


def test_a_run_that_was_stopped_and_resumed_elsewhere_warns_of_the_file_that_has_changed(journey):
    lines = [line for line in journey.done["resumed"].err.splitlines() if "warning" in line]
    (line,) = lines
    assert line.endswith(f"bits may differ: {journey.game} has changed")


def test_the_config_says_where_the_game_is_and_what_it_was(journey):
    recorded = [
        json.loads((journey.out / name / "config.json").read_text())
        for name in ("shard-0-of-2", "merged")
    ]
    for config in recorded:
        assert config["environment"] == "pond.py:Pond"
        assert config["settings"] == {"most": 3}
        source = config["source"]
        assert source["door"] == f"{journey.game}:Pond"
        assert source["file"] == str(journey.game)
        assert re.fullmatch("[0-9a-f]{64}", source["sha256"])


def test_a_trained_principal_is_loaded_elsewhere_by_the_door_that_was_recorded(journey):
    count, growth, recommendation, payments = json.loads(journey.done["loaded"].out)
    assert (count, growth) == (4, 0.5)
    assert len(recommendation) == 2
    assert np.shape(payments) == (2, 2)
    assert (np.array(payments) >= 0).all()
    assert f"{journey.game} has changed" in journey.done["loaded"].err
