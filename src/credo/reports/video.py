"""A video of one episode of a policy, drawn without a screen.

The episode runs in a process of its own: MuJoCo chooses its drawing library when it is first imported, and a broken
one may end the process; neither must touch the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.policies import Policy, fitted_policy, load_policy, save_policy
from credo.types import CredoError, one_line

_BACKENDS = ("egl", "osmesa")
_INSTALL = "on Debian install libegl1 and libgl1-mesa-dri, or libosmesa6 (or leave the video out)"
_ENCODER = "is there room, and may it be written there? IMAGEIO_FFMPEG_EXE names another ffmpeg"
_LONGEST = 200
_MARK = "credo-video: "
"""Before the answer of the process that draws; libraries may print other lines."""


class VideoResult(NamedTuple):
    """A recorded episode."""

    path: Path
    episode_return: float
    """Sum of the environment's rewards over the episode."""
    length: int
    """Steps of the episode."""
    frames: int
    """Frames in the video."""
    frames_per_second: float
    success: bool | None = None
    """Whether the episode succeeded; None where the environment does not tell."""


class _Job(NamedTuple):
    environment: str
    policy: str
    path: str
    seed: int
    max_steps: int
    max_frames: int
    frames_per_second: float
    size: int


def record_video(
    environment: str,
    policy: Policy | Path,
    path: Path,
    seed: int = 0,
    max_steps: int = 1000,
    max_frames: int = 300,
    frames_per_second: float = 20.0,
    size: int = 400,
    timeout: float = 300.0,
) -> VideoResult:
    """Record one episode of a deterministic policy as H.264 in an MP4 file, at the speed of real time.

    Only as many steps are drawn as the frame rate needs: about every sixth on Hopper (0.008 s a step), every one on
    HalfCheetah (0.05 s).

    Args:
        environment: Gymnasium id, or ``module:Id`` for one whose module is importable here.
        policy: a policy, or the path of its file.
        path: of the video; replaced when the new one is complete.
        seed: of the environment's reset.
        max_steps: the episode is cut there.
        max_frames: the video ends there; the episode goes on, undrawn.
        frames_per_second: wanted; the nearest that whole steps give is used.
        size: width and height in pixels, of MuJoCo environments; others draw in their own size.
        timeout: seconds before a stuck process is given up.

    Raises:
        CredoError: the environment cannot be built or cannot draw, the drawing library does not work (the line says
            what to install), or the file cannot be written.
    """
    if not isinstance(environment, str):
        raise CredoError(
            "video: an environment made by a function cannot be drawn in a process of its own; "
            "register it with Gymnasium and give 'module:Id'"
        )
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(policy, Policy):
            save_policy(Path(folder) / "policy.safetensors", policy)
            policy = Path(folder) / "policy.safetensors"
        job = _Job(environment, str(policy), str(path), seed, max_steps, max_frames, frames_per_second, size)
        # What the user chose is used as it is; on other systems than Linux the default draws without a screen.
        automatic = "MUJOCO_GL" not in os.environ and sys.platform == "linux"
        failures = []
        for backend in _BACKENDS if automatic else (None,):
            answer = _run(job, backend, timeout)
            if "path" in answer:
                return VideoResult(**answer | {"path": path})
            if not answer.get("drawing"):
                raise CredoError(f"video: {answer['error']}")
            failures.append(f"{backend or os.environ.get('MUJOCO_GL', 'default')}: {answer['error']}")
    raise CredoError(f"video: MuJoCo cannot draw here ({'; '.join(failures)}); {_INSTALL}")


def _run(job: _Job, backend: str | None, timeout: float) -> dict[str, Any]:
    """The answer of a process that draws: a result, or ``error`` and whether ``drawing`` was what failed."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    if backend is not None:
        variables["MUJOCO_GL"] = backend
    process = subprocess.Popen(
        [sys.executable, "-m", "credo.reports.video", json.dumps(job._asdict())],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    with process:
        try:
            said, complaint = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"not finished after {timeout:.0f} s", "drawing": False}
        finally:
            process.kill()  # what it was writing is in the way of nobody
            process.wait()
            _temporary(Path(job.path), process.pid).unlink(missing_ok=True)
    last = (complaint.strip().splitlines() or [""])[-1]
    for line in said.splitlines():
        if line.startswith(_MARK):
            answer = json.loads(line.removeprefix(_MARK))
            if "encoding" in answer:
                # What ffmpeg says it says to the process's own stderr.
                why = answer["encoding"] or last[:_LONGEST] or "it does not say why"
                answer["error"] = f"out: {job.path} cannot be written: ffmpeg failed ({why}); {_ENCODER}"
            return answer
    return {"error": f"the process ended with status {process.returncode} {last}".strip(), "drawing": True}


def _temporary(path: Path, process: int) -> Path:
    return path.with_name(f".{path.name}.{process}.mp4")


def _main() -> None:
    job = _Job(**json.loads(sys.argv[1]))
    try:
        answer: dict[str, Any] = _record(job)._asdict()
    except CredoError as error:
        answer = {"error": str(error)}
    except _DrawingError as error:
        answer = {"error": str(error), "drawing": True}
    except _EncodingError as error:
        answer = {"encoding": str(error)}
    except Exception as error:
        answer = {"error": f"{job.environment} failed ({type(error).__name__}: {one_line(error, 200)})"}
    print(f"{_MARK}{json.dumps(answer)}", flush=True)
    # A drawing library may crash on the way out; the answer is given.
    os._exit(0)


class _DrawingError(Exception):
    """MuJoCo's drawing library does not work."""


class _EncodingError(Exception):
    """ffmpeg could not be started, and why; or it failed, and its own text is empty here."""


def _record(job: _Job) -> VideoResult:
    from credo.environments import environment_spec, make_environment, told_success, viewed
    from credo.environments.view import without_seeding
    from credo.policies.view import described_view

    broken = _import_mujoco()
    policy = load_policy(job.policy)
    try:
        environment = make_environment(
            viewed(job.environment, *described_view(policy.metadata)), render_mode="rgb_array"
        )
    except CredoError as error:
        raise (_DrawingError(broken) if broken else error) from error
    policy = fitted_policy(policy, environment_spec(environment, job.environment))
    if environment.render_mode != "rgb_array":
        raise CredoError(f"'{job.environment}' has no render mode rgb_array, so it cannot be drawn")
    if hasattr(environment.unwrapped, "mujoco_renderer"):
        _prepare_renderer(environment.unwrapped.mujoco_renderer, job.size)
    seconds = _seconds_per_step(environment)
    stride = max(round(1 / (job.frames_per_second * seconds)), 1)
    rate = 1 / (stride * seconds)

    try:
        observation, _ = environment.reset(seed=job.seed)
    except TypeError:
        environment = without_seeding(environment)
        observation, _ = environment.reset()
    total, step, frames, ended = 0.0, 0, 0, False
    success: bool | None = None
    with _writer(Path(job.path), rate) as write:
        while True:
            if frames < job.max_frames and (step % stride == 0 or ended):
                write(_captioned(_draw(environment, job.environment), f"step {step}   return {total:,.0f}"))
                frames += 1
            if ended or step >= job.max_steps:
                break
            observation, reward, terminated, truncated, info = environment.step(policy(observation))
            told = told_success(info)
            success = success if told is None else bool(told) or bool(success)
            total, step, ended = total + float(reward), step + 1, bool(terminated or truncated)
    return VideoResult(Path(job.path).name, total, step, frames, rate, success)  # type: ignore[arg-type]


def _prepare_renderer(renderer: Any, size: int) -> None:
    import mujoco

    renderer.width = renderer.height = size
    # Without a graphics card shadows and reflections take three quarters of the time.
    renderer.model.vis.quality.shadowsize = 0
    renderer.model.mat_reflectance[:] = 0
    # Left alone, some versions of Gymnasium hold the camera still while the body runs out of the picture.
    track = mujoco.mj_name2id(renderer.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if track >= 0:
        renderer.camera_id = track


def _import_mujoco() -> str | None:
    """What is wrong with MuJoCo's drawing library, which MuJoCo loads when it is imported; None: nothing."""
    try:
        import mujoco  # noqa: F401
    except ModuleNotFoundError as error:
        return None if error.name == "mujoco" else one_line(error, 200)
    except Exception as error:
        return one_line(error, 200)
    return None


def _seconds_per_step(environment: Any) -> float:
    """Of simulated time; from the environment's frame rate where it has no clock."""
    seconds = getattr(environment.unwrapped, "dt", None)
    if not isinstance(seconds, int | float) or not 0 < seconds < 10:
        seconds = 1 / (environment.metadata.get("render_fps") or 30)
    return float(seconds)


def _draw(environment: Any, name: str) -> np.ndarray:
    """[H, W, 3] uint8, of even height and width, as H.264 needs."""
    try:
        frame = environment.render()
    except Exception as error:
        if hasattr(environment.unwrapped, "mujoco_renderer"):
            raise _DrawingError(one_line(error, 200)) from error
        raise CredoError(f"'{name}' cannot be drawn: {one_line(error, 200)}") from error
    frame = np.asarray(frame)
    if frame.ndim != 3 or frame.shape[2] != 3 or min(frame.shape[:2]) < 2:
        raise CredoError(f"'{name}' draws {frame.shape}, not an RGB image")
    return np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2], dtype=np.uint8)


def _captioned(frame: np.ndarray, text: str) -> np.ndarray:
    """The frame with a line of text; as it is where Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return frame
    image = Image.fromarray(frame)
    font = ImageFont.load_default(size=max(frame.shape[0] // 24, 10))
    style: dict[str, Any] = {"fill": "white", "stroke_width": 2, "stroke_fill": "black"}
    ImageDraw.Draw(image).text((8, 6), text, font=font, **style)
    return np.asarray(image)


@contextlib.contextmanager
def _writer(path: Path, frames_per_second: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a frame [H, W, 3] uint8; the file appears under its name when all are written."""
    import imageio_ffmpeg

    temporary = _temporary(path, os.getpid())
    encoder: Any = None

    def write(frame: np.ndarray) -> None:
        nonlocal encoder
        if encoder is None:
            encoder = imageio_ffmpeg.write_frames(
                str(temporary),
                (frame.shape[1], frame.shape[0]),
                fps=frames_per_second,
                codec="libx264",
                pix_fmt_out="yuv420p",
                macro_block_size=2,
                quality=6,
                output_params=["-movflags", "+faststart"],
            )
            try:
                encoder.send(None)
            except (OSError, RuntimeError) as error:
                raise _EncodingError(one_line(error, _LONGEST)) from error
        try:
            encoder.send(frame)
        except OSError as error:  # its text is the command, of many lines
            raise _EncodingError from error

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield write
        encoder.close()
        if not temporary.exists():
            raise _EncodingError
        os.replace(temporary, path)
    except OSError as error:
        raise CredoError(f"out: {path} cannot be written ({one_line(error, 200)})") from error
    finally:
        if encoder is not None:
            with contextlib.suppress(Exception):  # it is gone where Ctrl-C has reached it, too
                encoder.close()
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    _main()
