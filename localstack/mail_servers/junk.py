"""Which mails the servers file as junk, as a rule that Dovecot's sieve and this program read alike."""

import re

SUBJECT_MARK = "[junk]"
"""A mail with this in its subject goes to junk, whatever else it says."""
SHARE = 10
"""With `tenth`, about one warm-up mail in so many."""

# day.mailbox.round: the first dot keeps the day out of it.
_MESSAGE_ID = re.compile(r"<.*\..*([0-9])\..*\1@")


def sieve_tests(*, tenth: bool) -> str:
    """The tests of the rule. tenth: also mails whose round ends in the figure that the mailbox's id ends in, one of ten."""
    patterns = ", ".join(f'"<*.*{figure}.*{figure}@*"' for figure in range(SHARE))
    by_id = f',\n  header :matches "message-id" [{patterns}]' if tenth else ""
    return f'header :contains "subject" "{SUBJECT_MARK}"{by_id}'


def is_junk(subject: str, message_id: str, *, tenth: bool) -> bool:
    """What the rule says of a mail."""
    return SUBJECT_MARK in subject.lower() or (tenth and _MESSAGE_ID.match(message_id) is not None)
