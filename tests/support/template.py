"""template.yaml as plain data: what the tests of the template share."""

from deploy.aws.template import ROOT, attribute_of, listed, load_template, resources

__all__ = [
    "PLAIN_HTTP", "QUEUE_OF", "ROOT", "RUN_QUEUES", "WARMUP_QUEUES", "attribute_of", "listed", "load_template", "resources",
]  # fmt: skip


RUN_QUEUES = {
    "PlanRun": "Plan",
    "LaunchMachine": "Launch",
    "CollectParts": "Collect",
    "FinishRun": "Finish",
    "WatchRuns": "Watch",
    "SendWebhook": "Webhook",
}
WARMUP_QUEUES = {
    "PlanWarmup": "WarmupPlan",
    "DispatchShard": "WarmupDispatch",
    "SendMail": "WarmupSend",
    "ReadMailboxes": "WarmupRead",
}
QUEUE_OF = RUN_QUEUES | WARMUP_QUEUES
# Nothing reaches AWS from the loopback range, so this is TLS only there, while the local cloud may speak plain HTTP.
PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
