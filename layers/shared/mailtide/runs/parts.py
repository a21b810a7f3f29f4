"""The tasks of a run and the parts that stand: which task decides, and whether its merge may begin."""

from datetime import datetime

from mailtide.contracts import LaunchMessage, Part, PartInput, Plan, TaskPlan
from mailtide.ports import ObjectInfo
from mailtide.runs import keys, store
from mailtide.runs.services import Services
from mailtide.runs.sizing import launch_delay_s


def task_of(plan: Plan, name: str) -> TaskPlan | None:
    """The task of that name, None when the plan has none."""
    return next((task for task in plan.tasks if task.task == name), None)


def deciding(plan: Plan) -> str:
    """Name of the task whose part is the run's outcome: the whole run, or the merge."""
    return next((task.task for task in plan.tasks if task.kind != "chunk"), "whole")


def chunks(plan: Plan) -> list[str]:
    """Names of the chunk tasks, ascending; none when one machine does all of it."""
    return [task.task for task in plan.tasks if task.kind == "chunk"]


def standing_chunks(services: Services, plan: Plan) -> dict[str, datetime]:
    """The chunks whose part stands, and since when."""
    wanted = {keys.part(plan.org, plan.run, name): name for name in chunks(plan)}
    listed = services.bucket.list(keys.parts(plan.org, plan.run)) if wanted else ()
    return {wanted[info.key]: info.last_modified for info in listed if info.key in wanted}


def list_tries(services: Services, plan: Plan) -> dict[str, dict[int, dict[str, ObjectInfo]]]:
    """Every object of every try: by task, number of the try, and name."""
    found: dict[str, dict[int, dict[str, ObjectInfo]]] = {}
    for info in services.bucket.list(keys.tasks(plan.org, plan.run)):
        parsed = keys.parse_try(info.key)
        if parsed is not None:
            paths, name = parsed
            found.setdefault(paths.task, {}).setdefault(paths.attempt, {})[name] = info
    return found


def queue_launches(services: Services, plan: Plan) -> None:
    """Queue the launches of all tasks that wait for nothing, spread as the host allows; safe to repeat."""
    ready = [task for task in plan.tasks if task.kind != "merge"]
    for number, task in enumerate(ready):
        message = LaunchMessage(org=plan.org, run=plan.run, task=task.task, attempt=1)
        services.queues.send(message, delay_s=launch_delay_s(services.settings, number))


def merge_inputs(services: Services, plan: Plan) -> tuple[PartInput, ...] | None:
    """Every chunk's candidates with presigned URLs, ascending; None while a part is missing."""
    found = []
    for name in chunks(plan):
        part = store.read(services.bucket, keys.part(plan.org, plan.run, name), Part)
        delivered = part.manifest.find("candidates.bin") if part is not None else None
        if part is None or delivered is None:
            return None
        key = keys.TryKeys(plan.org, plan.run, name, part.attempt).delivered("candidates.bin")
        url = services.bucket.presign_get(key, expires_s=services.settings.url_ttl_s)
        found.append(PartInput(task=name, get=url, size_bytes=delivered.size_bytes, sha256=delivered.sha256))
    return tuple(found)
