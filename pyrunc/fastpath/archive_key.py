"""The key of an archive. Its code is specific to a version of Python, as in a .pyc file (PEP 3147, PEP 552).

The cache tag and the magic number change with the bytecode, usually between minor versions such as 3.11 and 3.12. They
do not change with builds, so archives stay valid after a security update of Python. The launcher makes the same line
(nsenter/launcher/interpreter.c), and so does prelude.py in a process without the launcher.
"""


def key() -> bytes:
    """Returns the first line of an archive for this interpreter."""
    import sys
    from importlib.util import MAGIC_NUMBER

    return f"pyrunc {sys.implementation.cache_tag} {MAGIC_NUMBER.hex()}\n".encode()
