"""Random configs: each is accepted, or refused in one line, by both paths alike.

PROPERTY_EXAMPLES: how many of each kind (hundreds here, ten thousand in `make soak`).
"""

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_strategy import ANYTHING, Schemas, broken
from spec_sample import SCHEMA, full

from pyrunc.errors import PyruncError, SpecError
from pyrunc.plan.compile import compile_create
from pyrunc.plan.facts import Facts
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.wire import encode
from pyrunc.spec.config import Config
from pyrunc.spec.load import parse
from pyrunc.spec.shape import Unfit, build

pytestmark = pytest.mark.skipif(not SCHEMA.exists(), reason=f"no official schemas in {SCHEMA}")

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "150"))
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
CONFIGS: st.SearchStrategy[Any] = Schemas().config() if SCHEMA.exists() else st.nothing()


def judge(config: Any) -> None:
    """Asserts that both paths agree, in one line, and that an accepted config has a plan, or an error says why not."""
    text = json.dumps(config).encode()
    try:
        build("Config", config)
        fits = True
    except Unfit:
        fits = False
    try:
        Config.model_validate(config)
        assert fits, "pydantic takes what the fast path refuses"
    except ValidationError:
        assert not fits, "the fast path takes what pydantic refuses"
    try:
        checked = parse(text)
    except SpecError as error:
        assert "\n" not in error.where
        return
    assert fits
    try:
        encode(compile_create(checked, Facts("id", CreateOptions(bundle="/bundle"))))
    except PyruncError as error:
        assert str(error)


@given(CONFIGS)
@many
def test_configs_of_the_schema(config: Any) -> None:
    judge(config)


@given(broken(CONFIGS))
@many
def test_broken_configs(config: Any) -> None:
    judge(config)


@given(broken(st.builds(full)))
@many
def test_a_valid_config_that_is_broken(config: Any) -> None:
    """Such a config passes more checks than one made at random."""
    judge(config)


@given(ANYTHING)
@many
def test_what_is_no_config(config: Any) -> None:
    with pytest.raises(SpecError):
        parse(json.dumps(config).encode())


@given(st.binary(max_size=200))
@many
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(SpecError) as refused:
        parse(data)
    assert "\n" not in str(refused.value)
