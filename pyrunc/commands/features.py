"""`pyrunc features`."""

from pyrunc.container.features import features
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Prints the features document (runtime-spec features.md)."""
    print(dumps(features(), 2))
    return 0
