"""The options of one command line: an attribute each, named as the long option. Imports nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Options:
    """Made from click's parameters or, in the common case, from the table derived from them."""

    def __init__(self, values: "dict[str, Any]") -> None:
        self.__dict__ = values

    def __getattr__(self, name: str) -> "Any":
        raise AttributeError(f"no option {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]
