"""What an archive is keyed to: the code in it is one Python's, as that of a .pyc file is (PEP 3147, PEP 552).

The cache tag and the magic number change when the bytecode does, between 3.11 and 3.12 as a rule, and not with the
builds of one: a security update of Python leaves archives as good as they were. The launcher makes the same line
(nsenter/launcher/interpreter.c), and prelude.py where there is no launcher in the process.
"""


def key() -> bytes:
    """The first line of an archive of this interpreter."""
    import sys
    from importlib.util import MAGIC_NUMBER

    return f"pyrunc {sys.implementation.cache_tag} {MAGIC_NUMBER.hex()}\n".encode()
