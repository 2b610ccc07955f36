"""`pyrunc features`."""

from pyrunc.cli.options import Command
from pyrunc.container.features import features
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "features",
    "Print what this pyrunc can do, as the runtime-spec's features document.",
    (),
    (),
)


def run(options: "Any") -> int:
    """Prints the features document (runtime-spec features.md)."""
    from pyrunc.fastpath import archive_renew

    document = features()
    document["annotations"]["org.opencontainers.runtime-tools.pyrunc.archives"] = archive_renew.status()
    print(dumps(document, 2))
    return 0
