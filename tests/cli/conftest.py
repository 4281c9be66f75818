"""What the tests of several commands share."""

import pytest

from credo.cli import main
from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    path = tmp_path_factory.mktemp("demos") / "point-mass.safetensors"
    episodes = rollout_episodes(PointMass, point_mass_expert, 6, seed=0)
    save_demonstrations(path, from_episodes(episodes, environment="PointMass", source="hand-written expert"))
    return path


@pytest.fixture
def called(monkeypatch, capsys):
    """Runs a command in this process, its output 200 columns wide; its exit status and all that it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def called(*words):
        status = 0
        try:
            main([*words])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return called


@pytest.fixture(scope="module")
def local_environment(tmp_path_factory):
    """A folder with a module that registers an environment, as a user would write it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_task.py").write_text(
        "import gymnasium\n"
        "from credo.environments.probes import PointMass\n"
        "gymnasium.register(id='MyPoint-v0', entry_point=PointMass, max_episode_steps=50)\n"
    )
    return folder
