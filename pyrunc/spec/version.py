"""The version of the runtime-spec that pyrunc implements."""

VERSION = "1.3.0"
