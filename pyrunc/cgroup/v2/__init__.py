"""cgroup v2, one file a controller: the limits it takes, and what it counts (Linux, admin-guide/cgroup-v2.rst)."""
