"""What decides the bits of a result, besides its own settings, is recorded and compared."""

from __future__ import annotations

import shutil

import jax
import numpy as np
import pytest
from command_line import RESUMED, SMALL_TREE, contents, stopped_tree, train
from small import TREE_ENV

from jaxparl import cli
from jaxparl.experiment import job, provenance
from jaxparl.experiment.run_folder import read_config
from jaxparl.training.devices import assign_runs, key_data, to_devices
from jaxparl.training.sweep import draw_env_params, run_key

TREE = (*SMALL_TREE, *RESUMED)


def test_the_keys_of_games_and_runs_are_the_same_whatever_jax_makes_by_default():
    key, params = run_key(1, 2, 3), draw_env_params(TREE_ENV, 4)
    default = TREE_ENV.default_params
    with jax.default_prng_impl("rbg"):
        assert jax.random.key(0).dtype != key.dtype
        assert run_key(1, 2, 3).dtype == key.dtype
        again = (key_data(run_key(1, 2, 3)), draw_env_params(TREE_ENV, 4), TREE_ENV.default_params)
        jax.tree.map(np.testing.assert_array_equal, again, (key_data(key), params, default))


def test_a_key_that_was_saved_is_the_key_that_it_was():
    keys = jax.vmap(lambda seed: run_key(1, 0, seed))(np.arange(2))
    with jax.default_prng_impl("rbg"):
        restored = to_devices(assign_runs(2), keys, np.asarray(key_data(keys)))
    assert restored.dtype == keys.dtype
    np.testing.assert_array_equal(key_data(restored), key_data(keys))


def test_flags_that_change_no_bit_are_not_compared(monkeypatch):
    flags = "--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=8"
    monkeypatch.setenv("XLA_FLAGS", f"{flags} --xla_dump_to=/tmp/x --xla_gpu_deterministic_ops")
    assert provenance.numerics()["XLA_FLAGS"] == {
        "--xla_cpu_enable_fast_math": "true",
        "--xla_gpu_deterministic_ops": "",
    }


def test_the_config_has_what_decides_bits():
    numerics = read_config(stopped_tree())["numerics"]
    assert numerics["platform"] == jax.default_backend()
    assert numerics["key_impl"] == "threefry2x32"
    assert numerics["jax_threefry_partitionable"] is True
    assert numerics["jax_enable_x64"] is False
    assert numerics["jax_default_matmul_precision"] is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jax_threefry_partitionable", False, "was true, not false"),
        ("jax_random_seed_offset", 5, "was 0, not 5"),
        ("jax_default_matmul_precision", "bfloat16", 'was null, not "bfloat16"'),
        ("jax_disable_most_optimizations", False, "was true, not false"),
        ("NPROC", "7", 'was null, not "7"'),
        ("XLA_FLAGS", "--xla_cpu_x=true", 'was null, not "true"'),
    ],
)
def test_under_other_settings_a_run_is_not_resumed(name, value, message, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(stopped_tree(), folder)
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        if name.startswith("jax_"):
            usual = jax.config.values[name]
            jax.config.update(name, value)
            try:
                assert train(folder, *TREE) == 2
            finally:
                jax.config.update(name, usual)
        else:
            patch.setenv(name, value)
            assert train(folder, *TREE) == 2
    shown = capsys.readouterr().err
    assert f"numerics.{name}" in shown
    assert message in shown
    assert shown.count("\n") == 1
    assert contents(folder) == before


def test_on_another_machine_a_run_is_resumed_with_a_warning(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(stopped_tree(), folder)
    monkeypatch.setattr(provenance.startup, "processor", lambda: "Z80")
    assert train(folder, *TREE) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: this run was begun with other versions or on another machine")
    assert line.endswith(', not "Z80"')


@pytest.mark.parametrize(("lanes", "says"), [("1", False), ("3", True)])
def test_lanes_without_runs_are_remarked_on(lanes, says, tmp_path, capsys, monkeypatch):
    # Nothing is trained: the folder is taken.
    (tmp_path / "thesis.txt").write_text("five years of work")
    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices()[:1])
    assert train(tmp_path, *SMALL_TREE, "--lanes", lanes) == 2
    shown = capsys.readouterr().err
    assert ("--lanes 3: the most runs that a device has is 2, and it fills" in shown) == says


def test_all_parts_of_a_sweep_have_as_many_lanes(tmp_path, monkeypatch):
    """Where all runs of a device are lanes, as on a GPU, and the parts are not equally large."""
    monkeypatch.setattr(
        job, "assign_runs", lambda runs, lanes=None: assign_runs(runs, lanes or runs)
    )
    for index in range(2):
        out = ("--out", str(tmp_path), "--shard", f"{index}/2")
        asked = cli.parse([*SMALL_TREE, "--seeds", "0:5", *out])
        experiment = job.prepare(asked, TREE_ENV)
        experiment.folder.close()
        assert len(experiment.runs) == 3 - index
        assert read_config(experiment.folder.path)["lanes"] == experiment.lanes() == 3
        assert experiment.lanes(rows_per_run=6) == 18
