"""rdma, the same as on v1."""

from pyrunc.cgroup.v1.rdma import limits

__all__ = ["limits"]
