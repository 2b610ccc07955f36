"""What pyrunc and its helper agree on, defined once for both: the bytes of a plan, descriptors, messages.

``nsenter/generate.py`` writes the same numbers into the helper's ``steps.h``. They are defined here, and not in the
room above that speaks with the helper, because a plan names slots: ``plan`` may not import what executes plans.
Imports nothing: the hot path reads it.
"""

MAGIC = 0x31525950
"""First word of a plan: ``PYR1`` in little-endian order."""
HEADER = 16
"""Bytes of a plan's header, and of a step's."""

# Descriptors that the helper inherits, after the standard and the preserved ones: number 3 + preserved + PLACE_*.
PLACE_CHANNEL, PLACE_PLAN, PLACE_SLOTS = 0, 1, 2
"""The socket to the runtime, the plan, and slot 0 of the plan (slot N follows at PLACE_SLOTS + N)."""

# A slot is a descriptor that one step opens and a later one uses. The first ones are inherited from the runtime.
SLOT_START, SLOT_CONSOLE, SLOT_TARGET = 0, 1, 2
"""Sockets of ``start`` and of the terminal; the pidfd of the container's init (exec)."""
SLOT_HELPER, SLOT_CAPTURE, SLOT_LIBRARY = 3, 4, 5
"""--preload-lib: the dynamic helper, the file that takes its output while it loads, the first library."""
LIBRARIES = 8
SLOT_STDIO = SLOT_LIBRARY + LIBRARIES
"""--preload-lib: the standard descriptors while libraries are loaded."""
SLOT_DIRECTORY = SLOT_STDIO + 3
"""--preload-lib: the working directory while libraries are loaded."""
SLOT_STATIC = SLOT_DIRECTORY + 1
"""--preload-lib: the static helper, which is executed again after loading."""
SLOT_MOUNT_NAMESPACE, SLOT_IPC_NAMESPACE, SLOT_UTS_NAMESPACE = SLOT_STATIC + 1, SLOT_STATIC + 2, SLOT_STATIC + 3
SLOT_NETWORK_NAMESPACE = SLOT_UTS_NAMESPACE + 1
"""--preload-lib: namespaces to return to after loading; filled by the runtime in between."""
SLOT_ROOT = SLOT_NETWORK_NAMESPACE + 1
"""exec, into a container without a mount namespace: its init's root."""
SLOT_INHERITED = SLOT_ROOT + 1
"""The first slot that a step of the plan may fill."""
SLOT_COUNT = 1024

# Messages: one datagram each; the first byte is the type, then the number of the step (4 bytes) except for PID and GO.
MESSAGE_PID = b"P"
"""helper -> runtime: the pid (4 bytes) of the process that it cloned."""
MESSAGE_SYNC = b"S"
"""helper -> runtime: this step of the runtime has been reached; the helper waits for GO."""
MESSAGE_TIME = b"T"
"""helper -> runtime: when the step began and ended, nanoseconds of CLOCK_REALTIME (8 bytes each; --trace). For a step
of the runtime: when the helper waited for it."""
MESSAGE_ERROR = b"E"
"""helper -> runtime: errno (4 bytes) and text; the helper exits."""
MESSAGE_DESCRIPTORS = b"D"
"""both ways (--preload-lib): numbers (4 bytes each) of the descriptors that come with the message."""
MESSAGE_STATE = b"C"
"""helper -> runtime (--preload-lib): the helper's state before loading, as bytes that only it understands; back with
the number (4 bytes) of the last step that is done, and the new channel as its descriptor."""
MESSAGE_RESUMED = b"R"
"""helper -> runtime (--preload-lib): the static helper has been executed again, and waits for descriptors and state."""
MESSAGE_UNDONE = b"U"
"""helper -> runtime (--preload-lib): what loading changed and the helper has restored, as text."""
MESSAGE_GO = b"G"
"""runtime -> helper: go on."""
ERROR_SIZE = 1536
"""Bytes of the longest text of an error, with its NUL."""
MESSAGE_SIZE = 1 + 4 + 4 + ERROR_SIZE
"""Bytes of the longest message."""
