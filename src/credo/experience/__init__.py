"""Experience that learners learn from."""

from credo.experience.replay import Replay, bytes_needed

__all__ = ["Replay", "bytes_needed"]
