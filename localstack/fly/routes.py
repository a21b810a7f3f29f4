"""Which method and path means which action."""

from localstack.fly import api
from localstack.fly.api import Handler

_APP = "/v1/apps/{app_name}/machines"
_ONE = f"{_APP}/{{machine_id}}"
_VOLUMES = "/v1/apps/{app_name}/volumes"

ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", _APP, "create", api.create),
    ("GET", _APP, "list", api.list_machines),
    ("GET", _ONE, "get", api.get),
    ("POST", _ONE, "update", api.update),
    ("DELETE", _ONE, "destroy", api.destroy),
    ("POST", f"{_ONE}/start", "start", api.start),
    ("POST", f"{_ONE}/stop", "stop", api.stop),
    ("POST", f"{_ONE}/restart", "restart", api.restart),
    ("POST", f"{_ONE}/signal", "signal", api.send_signal),
    ("GET", f"{_ONE}/wait", "wait", api.wait),
    ("GET", f"{_ONE}/events", "events", api.events),
    ("GET", f"{_ONE}/versions", "versions", api.versions),
    ("GET", f"{_ONE}/lease", "lease_get", api.lease_get),
    ("POST", f"{_ONE}/lease", "lease_acquire", api.lease_acquire),
    ("DELETE", f"{_ONE}/lease", "lease_release", api.lease_release),
    ("GET", f"{_ONE}/metadata", "metadata", api.metadata_get),
    ("PUT", f"{_ONE}/metadata", "metadata", api.metadata_update),
    ("PATCH", f"{_ONE}/metadata", "metadata", api.metadata_update),
    ("GET", f"{_ONE}/metadata/{{key}}", "metadata", api.metadata_key_get),
    ("POST", f"{_ONE}/metadata/{{key}}", "metadata", api.metadata_key_set),
    ("DELETE", f"{_ONE}/metadata/{{key}}", "metadata", api.metadata_key_delete),
    ("GET", "/v1/apps/{app_name}", "app_get", api.app_get),
    ("POST", _VOLUMES, "volume_create", api.volume_create),
    ("GET", _VOLUMES, "volume_list", api.volume_list),
    ("GET", f"{_VOLUMES}/{{volume_id}}", "volume_get", api.volume_get),
    ("DELETE", f"{_VOLUMES}/{{volume_id}}", "volume_delete", api.volume_delete),
    ("POST", f"{_ONE}/cordon", "cordon", api.cordon),
    ("POST", f"{_ONE}/uncordon", "cordon", api.cordon),
]
"""(method, path, action, handler); every other path of the specification answers 501."""
