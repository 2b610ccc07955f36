"""The commands. Each is a module with a table ``COMMAND`` and a ``run(options)``, which returns the exit status."""

COMMANDS = (
    *("create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause", "resume", "update", "events"),
    *("checkpoint", "restore", "spec", "features", "plan", "trace", "check", "verify-preload", "audit-lib"),
)
