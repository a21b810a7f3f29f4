"""Queues, tables, functions, what wakes them, and schedules: each resource of the stack as it stands."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mailtide.doctor.facts import FunctionFacts, MappingFacts, QueueFacts, Resource, RuleFacts, StackFacts, TableFacts
from mailtide.doctor.finding import Finding, broken, ok, or_ok, warning
from mailtide.doctor.storage import DEPLOY

QUEUE, TABLE, FUNCTION, RULE = "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::Events::Rule"
KEY = "AWS::KMS::Key"
DEAD_LETTERS = "DeadLetters"
_STABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})
_WITHOUT_TTL = frozenset({"MailboxesTable"})
_NEEDED = {"LaunchMachine": ("MAILTIDE_MACHINE_IMAGE", "MAILTIDE_FLY_APP", "MAILTIDE_FLY_TOKEN_SECRET")}
"""Variables that a function cannot do without, beside the bucket."""


def stack_check(name: str, stack: StackFacts | None) -> Finding:
    """Whether there is a stack of that name, and nothing is left half done."""
    if stack is None:
        todo = "name the stack with --stack, look into the right region (AWS_REGION), or deploy it (docs/deploy.md)"
        return broken("stack", name, f"There is no stack {name} in this account and region.", todo)
    if stack.status in _STABLE:
        return ok("stack", f"{name} is {stack.status}, with {len(stack.resources)} resources.")
    if stack.status.endswith("_IN_PROGRESS"):
        return warning("stack", name, f"{name} is just being changed ({stack.status}).", "look again when it is done")
    return broken("stack", name, f"The last deployment of {name} failed ({stack.status}).", "deploy it again")


def queue_checks(
    queues: Mapping[Resource, QueueFacts | None], functions: Mapping[str, FunctionFacts], mappings: list[MappingFacts]
) -> list[Finding]:
    """Each queue is there, gives up at last, and hides a message for as long as its function may take.

    functions: by name.
    """
    arns = {facts.arn for facts in queues.values() if facts}
    timeouts = {
        one.queue_arn: functions[name].timeout_s
        for one in mappings
        if (name := _name_of(one.function_arn)) in functions
    }
    found = list(_hasty(queues, timeouts))
    for resource, facts in queues.items():
        if facts is None:
            found.append(broken("queues", resource.logical, f"The queue {resource.logical} is gone.", DEPLOY))
        elif not resource.logical.endswith(DEAD_LETTERS):
            found += _one_queue(resource, facts, arns)
    return or_ok("queues", found, f"All {len(queues)} are there, and failed messages go to dead-letter queues.")


def _one_queue(resource: Resource, facts: QueueFacts, arns: set[str]) -> Iterable[Finding]:
    name = resource.logical
    if facts.dead_letters_arn is None:
        what = f"{name} has no dead-letter queue: a message that always fails is tried for days, and then lost unseen."
        yield broken("queues", name, what, DEPLOY)
    elif facts.dead_letters_arn not in arns:
        yield broken("queues", name, f"The dead letters of {name} go to a queue outside of the stack.", DEPLOY)


def _hasty(queues: Mapping[Resource, QueueFacts | None], timeouts: Mapping[str, int]) -> Iterable[Finding]:
    """Queues that hand a message out again while a function may still be at it. timeouts: seconds, by the queue's ARN."""
    found = {
        resource.logical: facts.visibility_s
        for resource, facts in queues.items()
        if facts is not None and facts.visibility_s < timeouts.get(facts.arn, 0)
    }
    if found:
        names = ", ".join(found)
        what = f"{names}: a message is hidden for {min(found.values())} s, less than its function may take: it may go out twice."
        yield warning("queues", names, what, "deploy with RetryAfterS=0, which takes six times the time-out")


def dead_letter_checks(queues: Mapping[Resource, QueueFacts | None]) -> list[Finding]:
    """Nothing waits where failed messages go."""
    found = [
        broken(
            "dead letters", resource.logical,
            f"{facts.waiting} {'message waits' if facts.waiting == 1 else 'messages wait'} in {resource.logical}.",
            "read them (aws sqs receive-message), mend the cause, then purge the queue; docs/operate.md, Alarms",
        )
        for resource, facts in queues.items()
        if facts is not None and facts.waiting and resource.logical.endswith(DEAD_LETTERS)
    ]  # fmt: skip
    return or_ok("dead letters", found, "There are none.")


def table_checks(tables: Mapping[Resource, TableFacts | None]) -> list[Finding]:
    """Each table is active, bills by request, and forgets what is old."""
    found: list[Finding] = []
    for resource, facts in tables.items():
        name = resource.logical
        if facts is None:
            what = f"{name} ({resource.physical}) is gone."
            found.append(broken("tables", name, what, "restore it from a backup under the same name"))
            continue
        if facts.status != "ACTIVE":
            found.append(broken("tables", name, f"{name} is {facts.status}.", "wait; if it stays so, ask AWS"))
        if not facts.on_demand:
            what = f"{name} has a fixed capacity: the warm-up is throttled beyond it."
            found.append(warning("tables", name, what, "set the billing mode to on-demand (PAY_PER_REQUEST)"))
    eternal = ", ".join(
        resource.logical
        for resource, facts in tables.items()
        if facts is not None and facts.ttl_field is None and resource.logical not in _WITHOUT_TTL
    )
    if eternal:
        found.append(warning("tables", eternal, f"Nothing in {eternal} expires: it grows for ever.", DEPLOY))
    return or_ok("tables", found, f"All {len(tables)} are active, on demand, and forget what is old.")


def function_checks(
    functions: Mapping[Resource, FunctionFacts | None], bucket: str, queue_urls: Iterable[str]
) -> list[Finding]:
    """Each function can be called, and all are told of the same bucket, app and queues."""
    ours = {_last(url) for url in queue_urls}
    found: list[Finding] = []
    for resource, facts in functions.items():
        if facts is None:
            found.append(broken("functions", resource.logical, f"The function {resource.physical} is gone.", DEPLOY))
        else:
            found += _one_function(resource.logical, facts, bucket, ours)
    found += _disagreements([facts for facts in functions.values() if facts])
    return or_ok("functions", found, f"All {len(functions)} are active and agree on their settings.")


def _one_function(name: str, facts: FunctionFacts, bucket: str, queues: set[str]) -> Iterable[Finding]:
    if facts.state not in {"", "Active", "Inactive"} or facts.update_status not in {"", "Successful"}:
        what = f"{facts.name} is {facts.state}, its last update {facts.update_status or 'unknown'}."
        yield broken("functions", name, what, "look at its configuration in the console; deploy again")
    environment = facts.environment
    if environment.get("MAILTIDE_BUCKET") != bucket:
        what = f"{facts.name} is told of the bucket {environment.get('MAILTIDE_BUCKET') or '(none)'}, not of {bucket}."
        yield broken("functions", name, what, DEPLOY)
    for variable in _NEEDED.get(name, ()):
        if not environment.get(variable):
            yield broken("functions", name, f"{facts.name} lacks {variable}.", DEPLOY)
    for variable, value in environment.items():
        if variable.endswith("_QUEUE_URL") and value and _last(value) not in queues:
            yield broken("functions", name, f"{variable} of {facts.name} is no queue of this stack.", DEPLOY)


def _disagreements(functions: list[FunctionFacts]) -> Iterable[Finding]:
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for facts in functions:
        for variable, value in facts.environment.items():
            if variable.startswith(("MAILTIDE_", "WARMUP_")) and variable != "MAILTIDE_BUCKET":
                values[variable][value].append(facts.name)
    for variable, by_value in sorted(values.items()):
        if len(by_value) > 1:
            fewest: list[str] = min(by_value.values(), key=len)
            odd = ", ".join(fewest)
            yield broken("functions", odd, f"{variable} is another one for {odd} than for the rest.", DEPLOY)


def mapping_checks(
    functions: Mapping[Resource, FunctionFacts | None], mappings: list[MappingFacts], parameters: Mapping[str, str]
) -> list[Finding]:
    """Each function that works off a queue is woken by it."""
    by_function = {_name_of(one.function_arn): one for one in mappings}
    in_functions = parameters.get("Warmup", "on") != "containers"
    found: list[Finding] = []
    for resource, facts in functions.items():
        if facts is None or resource.logical == "Api":
            continue
        one = by_function.get(facts.name)
        warmup = resource.logical in {"PlanWarmup", "DispatchShard", "SendMail", "ReadMailboxes"}
        if one is None and (in_functions or not warmup):
            what = f"No queue wakes {facts.name}."
            found.append(broken("event sources", resource.logical, what, DEPLOY))
        elif one is not None and one.state not in {"Enabled", "Enabling", "Updating"} and (in_functions or not warmup):
            what = f"The queue of {facts.name} does not wake it: the event source mapping is {one.state}."
            todo = "aws lambda update-event-source-mapping --enabled, or deploy again"
            found.append(broken("event sources", resource.logical, what, todo))
        elif one is not None and not one.reports_failed_items:
            what = f"{facts.name} cannot say which messages failed: good ones are tried again with them."
            found.append(warning("event sources", resource.logical, what, DEPLOY))
    return or_ok("event sources", found, "Each queue wakes its function.")


def key_check(key: Resource, state: str | None) -> Finding:
    """The key that wraps the data keys of the mailboxes' secrets: without it none can be opened, and no mail goes out."""
    if state == "Enabled":
        return ok("mailbox key", "The key of the mailboxes' secrets is enabled.")
    todo = "deploy again, and import the mailboxes anew with their secrets: what a key has sealed goes with it"
    if state is not None:
        todo = "aws kms cancel-key-deletion if it waits for that: a deleted key opens no secret any more; then aws kms enable-key"
    what = f"The key of the mailboxes' secrets is {state or 'gone'}: nothing is claimed or sent until it works again."
    return broken("mailbox key", key.logical, what, todo)


def schedule_checks(rules: Mapping[Resource, RuleFacts | None], parameters: Mapping[str, str]) -> list[Finding]:
    """Ticks and events of the bucket are passed on."""
    found: list[Finding] = []
    for resource, facts in rules.items():
        name = resource.logical
        if facts is None:
            found.append(broken("schedules", name, f"The rule {name} is gone.", DEPLOY))
        elif facts.state != "ENABLED" and not (name == "WarmupTick" and parameters.get("Warmup", "on") != "on"):
            todo = f"aws events enable-rule --name {resource.physical}"
            found.append(broken("schedules", name, f"The rule {name} is {facts.state.lower()}.", todo))
        elif not facts.targets:
            found.append(broken("schedules", name, f"The rule {name} leads nowhere: it has no target.", DEPLOY))
    return or_ok("schedules", found, f"All {len(rules)} rules are as they were deployed.")


def _name_of(function_arn: str) -> str:
    parts = function_arn.split(":")
    return parts[6] if len(parts) > 6 else function_arn


def _last(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
