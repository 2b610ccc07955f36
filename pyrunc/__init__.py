"""pyrunc, an OCI runtime: config.json is validated, compiled into a plan, and a small C helper executes the plan."""

__version__ = "0.1.0"
