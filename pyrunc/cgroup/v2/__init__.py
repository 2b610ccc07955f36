"""cgroup v2, one module per controller: its limits and its counters (Linux, admin-guide/cgroup-v2.rst)."""
