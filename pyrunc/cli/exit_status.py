"""The exit statuses of the command line (docs/spec-conformance.md "Exit statuses")."""

FAILED = 1
EXEC_FAILED = 255
"""`exec` exits with it when pyrunc failed, and not the program (as runc)."""
NOT_EXECUTED = 255
"""`run` in the foreground, when the container was made and its program could not be executed (as runc)."""
NO_SUCH_COMMAND = 3
"""As runc, whose library of the command line answers so."""
INTERRUPTED = 130
"""SIGINT: 128 + 2, as a shell has it."""
