"""The common base of the spec's models: Go's types, checked strictly, and null as absent (encoding/json)."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

U16 = Annotated[int, Field(strict=True, ge=0, le=2**16 - 1)]
U32 = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
U64 = Annotated[int, Field(strict=True, ge=0, le=2**64 - 1)]
Id = Annotated[int, Field(strict=True, ge=0, le=2**32 - 2)]
"""A user or group id. 2^32 - 1 is (uid_t) -1, which setresuid(2) and chown(2) take as "unchanged"."""
I32 = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]
I64 = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]


def camel(name: str) -> str:
    """``additional_gids`` → ``additionalGids``. JSON names that do not follow this rule have an explicit alias."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Model(BaseModel):
    """Unknown properties are ignored (runtime-spec config.md "Extensibility")."""

    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=camel, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data
