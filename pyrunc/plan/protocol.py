"""The protocol between the runtime and its helper, defined once for both: the bytes of a plan, descriptors, messages.

``nsenter/generate.py`` writes the same numbers into the helper's ``steps.h``. The definitions are here, and not in
``launch``, which talks to the helper, because a plan contains slots and ``plan`` may not import ``launch``. This module
imports nothing, because the hot path reads it.
"""

MAGIC = 0x31525950
"""The first word of a plan: ``PYR1`` in little-endian order."""
HEADER = 16
"""Bytes of the header of a plan and of a step."""

# Descriptors that the helper inherits after the standard and the preserved ones: number 3 + preserved + PLACE_*.
PLACE_CHANNEL, PLACE_PLAN, PLACE_SLOTS = 0, 1, 2
"""The socket to the runtime, the plan, and slot 0 of the plan (slot N follows at PLACE_SLOTS + N)."""

# A slot is a descriptor that one step opens and a later step uses. The first ones are inherited from the runtime.
SLOT_START, SLOT_CONSOLE, SLOT_TARGET = 0, 1, 2
"""The sockets of ``start`` and of the terminal; the pidfd of the container's init (exec)."""
SLOT_HELPER, SLOT_CAPTURE, SLOT_LIBRARY = 3, 4, 5
"""--preload-lib: the dynamic helper, the file for its output while it loads, the first library."""
LIBRARIES = 8
SLOT_STDIO = SLOT_LIBRARY + LIBRARIES
"""--preload-lib: the standard descriptors while libraries are loaded."""
SLOT_DIRECTORY = SLOT_STDIO + 3
"""--preload-lib: the working directory while libraries are loaded."""
SLOT_STATIC = SLOT_DIRECTORY + 1
"""--preload-lib: the static helper, which is executed again after the libraries are loaded."""
SLOT_MOUNT_NAMESPACE, SLOT_IPC_NAMESPACE, SLOT_UTS_NAMESPACE = SLOT_STATIC + 1, SLOT_STATIC + 2, SLOT_STATIC + 3
SLOT_NETWORK_NAMESPACE = SLOT_UTS_NAMESPACE + 1
"""--preload-lib: the namespaces to re-enter after loading. The runtime fills these slots during loading."""
SLOT_ROOT = SLOT_NETWORK_NAMESPACE + 1
"""exec into a container without a mount namespace: the root of its init."""
SLOT_INHERITED = SLOT_ROOT + 1
"""The first slot that a step of the plan may use."""
SLOT_COUNT = 1024

# Messages are one datagram each. The first byte is the type, then the step's number (4 bytes) except for PID and GO.
MESSAGE_PID = b"P"
"""helper -> runtime: the pid (4 bytes) of the process that it cloned."""
MESSAGE_SYNC = b"S"
"""helper -> runtime: this step of the runtime has been reached; the helper waits for GO."""
MESSAGE_TIME = b"T"
"""helper -> runtime: when the step began and ended, in nanoseconds of CLOCK_REALTIME (8 bytes each; --trace). For a
step of the runtime: when the helper's wait for it began and ended."""
MESSAGE_ERROR = b"E"
"""helper -> runtime: errno (4 bytes) and text; the helper exits."""
MESSAGE_DESCRIPTORS = b"D"
"""both ways (--preload-lib): the numbers (4 bytes each) of the descriptors that the message carries."""
MESSAGE_STATE = b"C"
"""helper -> runtime (--preload-lib): the helper's state before loading, as bytes that only the helper interprets. The
runtime returns it with the number (4 bytes) of the last step that is done, and the new channel as its descriptor."""
MESSAGE_RESUMED = b"R"
"""helper -> runtime (--preload-lib): the static helper was executed again, and waits for descriptors and state."""
MESSAGE_UNDONE = b"U"
"""helper -> runtime (--preload-lib): changes that loading made and the helper has undone, as text."""
MESSAGE_GO = b"G"
"""runtime -> helper: continue."""
ERROR_SIZE = 1536
"""Bytes of the longest error text, including its NUL."""
MESSAGE_SIZE = 1 + 4 + 4 + ERROR_SIZE
"""Bytes of the longest message."""
