"""The commands: a module each, with its table ``COMMAND`` and its ``run(options)``, which returns the exit status."""

COMMANDS = (
    *("create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause", "resume", "update", "events"),
    *("checkpoint", "restore", "spec", "features", "plan", "trace", "check", "verify-preload", "audit-lib"),
)
