"""The functions' settings in the template: what they are called, and that their defaults are those of the code."""

from typing import Any

import pytest

from mailtide.settings import Settings
from tests.support.template import RUN_QUEUES, load_template, resources

TEMPLATE = load_template()
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
OF_MACHINES = {
    "MAILTIDE_EVENT_BUS_NAME", "MAILTIDE_FLY_API_URL", "MAILTIDE_FLY_TOKEN_SECRET", "MAILTIDE_FLY_REGIONS",
    "MAILTIDE_MACHINE_IMAGE", "MAILTIDE_MACHINE_S3_ENDPOINT_URL", "MAILTIDE_SIZE_TABLE",
}  # fmt: skip
"""What the functions with an environment of many bytes need not know."""


def _settings_told(variables: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in variables.items()
        if name.startswith("MAILTIDE_") and not name.endswith(("_QUEUE_URL", "_BUCKET"))
    }


def _assert_defaults_agree(variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        setting = Settings.model_fields[name.removeprefix("MAILTIDE_").lower()]
        parameter = TEMPLATE["Parameters"][value["Ref"]]
        if name in {"MAILTIDE_SIZE_TABLE", "MAILTIDE_POOL_MACHINE_SIZE"}:
            assert parameter["Default"] == "", "empty for the built-in table and size"
            continue
        default = setting.default if not isinstance(setting.default, tuple) else ",".join(setting.default)
        assert str(parameter["Default"]) == str(default), name
        bounds = {type(limit).__name__: limit for limit in setting.metadata}
        if parameter["Type"] == "Number" and {"Ge", "Le"} <= bounds.keys():
            assert (parameter["MinValue"], parameter["MaxValue"]) == (bounds["Ge"].ge, bounds["Le"].le), name


def test_variables_are_settings_and_defaults_agree() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["MAILTIDE_BUCKET"] == {"Fn::If": ["BucketIsElsewhere", {"Ref": "S3Bucket"}, {"Ref": "Bucket"}]}
    _assert_defaults_agree(_settings_told(variables))


@pytest.mark.parametrize("function", [name for name in RUN_QUEUES if name != "SendWebhook"])
def test_the_functions_of_runs_are_told_of_machines(function: str) -> None:
    own = _settings_told(FUNCTIONS[function]["Environment"]["Variables"])
    assert len(own.keys() - OF_MACHINES) == {"PlanRun": 5, "LaunchMachine": 5, "WatchRuns": 4}.get(function, 0)
    assert own.keys() >= OF_MACHINES
    _assert_defaults_agree(own)
