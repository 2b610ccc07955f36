"""The exit statuses of the command line (docs/spec-conformance.md "Exit statuses")."""

FAILED = 1
EXEC_FAILED = 255
"""`exec`, if pyrunc and not the program failed (as runc)."""
NOT_EXECUTED = 255
"""`run` in the foreground, if the container was made but its program could not be executed (as runc)."""
NO_SUCH_COMMAND = 3
"""The same as in runc, whose command-line library uses this status."""
INTERRUPTED = 130
"""128 + SIGINT (2), as in a shell."""
