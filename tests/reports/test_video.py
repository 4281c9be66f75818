"""Videos: of a made-up environment without a drawing library, of Hopper where one works, and every failure."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from credo.policies import Layer, Policy, save_policy
from credo.policies.onnx import onnx_bytes
from credo.reports import video
from credo.reports.video import record_video
from credo.types import CredoError

MODULE = """
import os
import gymnasium
import numpy as np

class Drawn(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-2, 2, (1,), np.float32)

    def __init__(self, render_mode=None, kind="", length=30):
        self.render_mode, self.kind, self.length = render_mode, kind, length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.standard_normal(2).astype(np.float32), {}

    def step(self, action):
        if self.kind == "broken":
            raise ValueError("no\\nway")
        assert abs(float(action[0]) - 2) < 1e-4, action
        self.steps += 1
        told = {"is_success": self.steps == 3} if self.kind == "told" else {}
        return np.zeros(2, np.float32), 0.5, self.steps == self.length, False, told

    def render(self):
        if self.kind == "crash":
            os.abort()
        return np.full((65, 97, 3), 8 * self.steps, np.uint8)

class Blind(Drawn):
    metadata = {"render_modes": []}
    def __init__(self, render_mode=None):
        super().__init__(None)

for name, kind in {"Drawn": "", "Crash": "crash", "Broken": "broken", "Told": "told"}.items():
    gymnasium.register(f"{name}-v0", Drawn, kwargs={"kind": kind})
gymnasium.register("Blind-v0", Blind)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "drawn_environments.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "drawn_environments"


def constant_policy(observations: int, actions: int, bound: float) -> Policy:
    """Always the upper bound of every action."""
    return Policy(
        layers=(Layer(np.zeros((observations, actions)), np.full(actions, 20.0)),),
        activation="relu",
        observation_mean=np.zeros(observations),
        observation_std=np.ones(observations),
        action_low=np.full(actions, -bound),
        action_high=np.full(actions, bound),
        environment="test",
    )


def frames(path: Path, width: int, height: int) -> tuple[str, np.ndarray]:
    """What ffmpeg says of the file, and its frames [n, height, width, 3]."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    stream = next(line for line in done.stderr.decode().splitlines() if "Stream" in line)
    return stream, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def test_an_episode_at_the_speed_of_real_time(module, tmp_path):
    policy, out = constant_policy(2, 1, 2.0), tmp_path / "new" / "video.mp4"
    result = record_video(f"{module}:Drawn-v0", policy, out, seed=3, frames_per_second=10)
    # 50 steps a second, 10 frames a second: every fifth of 30 steps, and the first.
    assert result == (out, 15.0, 30, 7, 10.0, None)
    about, pictures = frames(out, 96, 64)
    for word in ("h264", "yuv420p", "96x64", "10 fps"):
        assert word in about
    corner = [float(picture[-20:].mean()) for picture in pictures]
    assert corner == pytest.approx([0, 40, 80, 120, 160, 200, 240], abs=6)
    assert [path.name for path in out.parent.iterdir()] == ["video.mp4"]


def test_the_episode_goes_on_after_the_last_frame(module, tmp_path):
    save_policy(tmp_path / "policy.safetensors", constant_policy(2, 1, 2.0))
    result = record_video(
        f"{module}:Drawn-v0", tmp_path / "policy.safetensors", tmp_path / "v.mp4", max_steps=20, max_frames=3
    )
    assert (result.length, result.episode_return, result.frames) == (20, 10.0, 3)


def test_a_network_that_does_not_say_its_bounds_gets_the_environments(module, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(onnx_bytes(constant_policy(2, 1, 2.0)))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "policy.onnx")
    result = record_video(f"{module}:Drawn-v0", tmp_path / "policy.onnx", tmp_path / "v.mp4", max_steps=3)
    assert result.length == 3


def test_a_policy_of_other_bounds_is_not_drawn(module, tmp_path):
    with pytest.raises(CredoError, match=r"policy of test: action dimension 0 is from -1 to 1, but in .* from -2 to 2"):
        record_video(f"{module}:Drawn-v0", constant_policy(2, 1, 1.0), tmp_path / "v.mp4", max_steps=3)


def test_success_is_told_where_the_environment_tells_it(module, tmp_path):
    policy = constant_policy(2, 1, 2.0)
    for name, success in (("Told-v0", True), ("Told-v0,length=2", False)):
        assert record_video(f"{module}:{name}", policy, tmp_path / "video.mp4").success is success


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Blind-v0", "has no render mode rgb_array"),
        ("Broken-v0", "failed \\(ValueError: no way\\)"),
        ("Nothing-v0", "not a registered environment"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(module, tmp_path, name, words):
    with pytest.raises(CredoError, match=words) as caught:
        record_video(f"{module}:{name}", constant_policy(2, 1, 2.0), tmp_path / "v.mp4")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.mp4"))
    assert not list(tmp_path.glob(".*.mp4"))


@pytest.mark.parametrize("shape", [(65, 97), (65, 97, 4), (1, 97, 3), (2, 65, 97, 3)])
def test_what_is_drawn_must_be_an_image(shape):
    environment = types.SimpleNamespace(render=lambda: np.zeros(shape, np.uint8))
    with pytest.raises(CredoError, match=f"'Drawn-v0' draws {re.escape(str(shape))}, not an RGB image"):
        video._draw(environment, "Drawn-v0")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo configuration: --enable-all >&2; echo Conversion failed! >&2; exit 1", r"\(Conversion failed!\)"),
        ("cat > /dev/null; echo No space left >&2; exit 1", r"\(No space left\)"),
        (None, "No such file or directory"),
    ],
)
def test_a_failure_of_ffmpeg_is_its_last_line(module, tmp_path, monkeypatch, script, why):
    encoder = tmp_path / "ffmpeg"
    if script is not None:
        answers = 'case "$*" in *-version*) echo ffmpeg version 6; exit 0;; esac'
        encoder.write_text(f"#!/bin/sh\n{answers}\n{script}\n")
        encoder.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(encoder))
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(CredoError, match=rf"v.mp4 cannot be written: ffmpeg failed .*{why}.*; is there room") as caught:
        record_video(f"{module}:Drawn-v0", constant_policy(2, 1, 2.0), tmp_path / "v.mp4")
    assert "FFMPEG" not in str(caught.value).replace("IMAGEIO_FFMPEG_EXE", "")
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.glob("*.mp4"))
    assert not list(tmp_path.glob(".*.mp4"))


def test_a_crash_of_the_drawing_library_says_what_to_install(module, tmp_path, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(video.sys, "platform", "linux")
    with pytest.raises(CredoError, match=r"egl: .*status -6.*osmesa: .*; on Debian install libegl1"):
        record_video(f"{module}:Crash-v0", constant_policy(2, 1, 2.0), tmp_path / "v.mp4")


def test_the_second_library_is_tried_and_the_users_choice_respected(tmp_path, monkeypatch):
    asked = []

    def answer(job, backend, timeout):
        asked.append(backend)
        if backend == "egl":
            return {"error": "no display", "drawing": True}
        return {"path": "v.mp4", "episode_return": 1.0, "length": 2, "frames": 3, "frames_per_second": 20.0}

    monkeypatch.setattr(video, "_run", answer)
    monkeypatch.setattr(video.sys, "platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    policy = constant_policy(2, 1, 2.0)
    assert record_video("Hopper-v5", policy, tmp_path / "v.mp4").path == tmp_path / "v.mp4"
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    record_video("Hopper-v5", policy, tmp_path / "v.mp4")
    assert asked == ["egl", "osmesa", None]


def test_a_wrong_choice_of_library_and_a_factory_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with pytest.raises(CredoError, match=r"MuJoCo cannot draw here \(nonsense: .*install"):
        record_video("Hopper-v5", constant_policy(11, 3, 1.0), tmp_path / "v.mp4")
    with pytest.raises(CredoError, match="module:Id"):
        record_video(lambda: None, constant_policy(11, 3, 1.0), tmp_path / "v.mp4")


def test_hopper(tmp_path):
    try:
        result = record_video("Hopper-v5", constant_policy(11, 3, 1.0), tmp_path / "v.mp4", size=64)
    except CredoError as error:
        pytest.skip(str(error)) if "cannot draw here" in str(error) else pytest.fail(str(error))
    assert result.length < 100
    assert result.frames_per_second == pytest.approx(1 / (6 * 0.008))
    about, pictures = frames(result.path, 64, 64)
    assert "20.83 fps" in about
    assert len(pictures) == result.frames
    assert pictures[0].std() > 10


def test_a_process_that_draws_too_long_leaves_nothing_behind(tmp_path, monkeypatch):
    """It is ended in the middle of writing, and cannot tidy up itself."""
    writes = "import sys, json, os, time; job = json.loads(sys.argv[3]); path = job['path']; " + (
        "open(os.path.join(os.path.dirname(path), f'.{os.path.basename(path)}.{os.getpid()}.mp4'), 'w').write('half'); "
        "print('begun', flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(video.sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{writes}" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    job = video._Job("Hopper-v5", "p", str(tmp_path / "out.mp4"), 0, 10, 10, 20.0, 100)
    assert video._run(job, None, timeout=3.0) == {"error": "not finished after 3 s", "drawing": False}
    assert [path.name for path in tmp_path.iterdir()] == ["python"]
