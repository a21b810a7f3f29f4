"""Whatever a rules file holds, it is read or refused in one sentence."""

from dataclasses import fields
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import RulesError
from mailtide.rules.config import Rules, load_rules

KEYS = sorted(field.name for field in fields(Rules))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.binary(max_size=4)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.integers(), st.text(max_size=5)), inner, max_size=3)
    ),
    max_leaves=6,
)


def read(text: str) -> Rules | None:
    message = ""
    try:
        return load_rules(text)
    except RulesError as error:
        message = str(error)
    assert message.startswith("The rules file ")
    assert "\n" not in message
    return None


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("{}[]:,-?!&*#|>'\"%@`\n \t0123456789.eE+"))))
def test_any_text(text: str) -> None:
    read(text)


@given(st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), values, max_size=3))
def test_any_values(document: dict[str, Any]) -> None:
    rules = read(yaml.dump(document))
    if rules is not None:
        assert set(document) <= set(KEYS)
        assert len(rules.sha256) == 64
