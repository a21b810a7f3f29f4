"""The rules' values (§3): the packaged file, and over it the keys that an organisation sets."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEFAULT = Path(__file__).parents[2] / "layers/shared/mailtide/rules/data/default.yaml"


class _Text(yaml.SafeLoader):
    """Keeps decimals as text, so that they stay exact."""

    def decimal_text(self, node: yaml.ScalarNode) -> str:
        return str(self.construct_scalar(node))


_Text.add_constructor("tag:yaml.org,2002:float", _Text.decimal_text)


@cache
def _defaults() -> dict[str, Any]:
    return dict(_Text(DEFAULT.read_text()).get_data())


def load(text: str | None = None) -> dict[str, Any]:
    """Every key with its value; fractions as text or whole numbers."""
    rules = dict(_defaults())
    rules.update((_Text(text).get_data() or {}) if text else {})
    return rules
