"""The one error tree of mailtide.

MailtideError
├── InputError            what a person gave is wrong; the text is one clear sentence, safe to show (exit code 2)
│   ├── DatabaseError     the uploaded database (also named BadDatabase in error.json)
│   │   └── DatabaseMemoryError   there was too little memory for it; also a MemoryError
│   ├── RulesError        the rules file
│   └── SettingsError     the environment or the command line
├── StaleWriteError       a conditional write lost: the object changed, exists already, or is gone
├── NotFoundError         the object, machine or queue is not there
├── SourceChangedError    the source database was replaced while it was being read
├── BudgetExceededError   a bounded read would have taken more requests or bytes than allowed
├── BadPartError          what a chunk's machine delivered cannot be used; the merge does without it
├── TransientError        worth trying again later (5xx, throttled, timed out)
└── FlyError              the Machines API refused; subclasses in mailtide.adapters.fly

Adapters translate by code, never by message text; what they do not know passes through.
"""


class MailtideError(Exception):
    """Base of every error that mailtide raises on purpose."""


class InputError(MailtideError):
    """Something that a person gave is wrong; `str(error)` is one sentence that names what and where."""


class DatabaseError(InputError):
    """The uploaded or named database cannot be used as it is."""


class DatabaseMemoryError(DatabaseError, MemoryError):
    """The database needs more memory than there is or is allowed; a machine with more of it may do."""


class RulesError(InputError):
    """The rules file cannot be used as it is; names the key and the value."""


class SettingsError(InputError):
    """A setting is missing or impossible; names the variable."""


class StaleWriteError(MailtideError):
    """A conditional write lost against another writer (or against one's own earlier, unanswered try)."""


class NotFoundError(MailtideError):
    """The thing asked for does not exist."""


class SourceChangedError(MailtideError):
    """The source object no longer has the ETag that the reader asked for."""


class BudgetExceededError(MailtideError):
    """A bounded read needed more than its budget of requests or bytes."""


class BadPartError(MailtideError):
    """A chunk's candidates are damaged, or not those that were asked for; `str(error)` is one sentence that names the chunk."""


class TransientError(MailtideError):
    """The other side failed in a way that a later try may not."""


class FlyError(MailtideError):
    """The Fly Machines API refused a request."""
