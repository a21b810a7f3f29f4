"""The parameters of the template."""

import pytest

from tests.support.template import load_template

TEMPLATE = load_template()


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_parameters_say_what_they_are_and_what_they_may_be(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert parameter["Description"].endswith(".")
    assert "Default" in parameter
    assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue", "MinLength"}
