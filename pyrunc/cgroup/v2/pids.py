"""pids, the same as on v1."""

from pyrunc.cgroup.v1.pids import limits, stats

__all__ = ["limits", "stats"]
