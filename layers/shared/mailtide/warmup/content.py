"""What the mails say: templates with variations, chosen by the stated hash, so that a mail reads the same on every try.

A template file is YAML: `templates`, a list of `subject`, `body` and `replies` (a list of bodies). In each, `{a|b|c}` stands
for one of its parts, which may be empty and may hold such braces themselves; `[[recipient]]` and `[[sender]]` stand for names.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, field_validator

from mailtide.contracts import Contract
from mailtide.errors import InputError
from mailtide.warmup.ids import SendId, hash64

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 6
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\x85\u2028\u2029]*")
_PIECE = re.compile(r"[{|}]|[^{|}]+")
_NAME = re.compile(r"\[\[(recipient|sender)\]\]")

type Body = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class TemplateError(InputError):
    """A template file cannot be used as it is."""


class Template(Contract):
    """One conversation: a mail, and what may be answered."""

    subject: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    body: Body
    replies: Annotated[tuple[Body, ...], Field(min_length=1, max_length=50)]

    @field_validator("subject", "body", "replies")
    @classmethod
    def _is_balanced(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (value,) if isinstance(value, str) else value:
            check_spintax(text)
        return value

    @field_validator("subject")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not _ONE_LINE.fullmatch(value):
            raise ValueError("a subject is one line without control characters")
        return value


class TemplateSet(Contract):
    """All templates of one user, or the packaged ones."""

    templates: Annotated[tuple[Template, ...], Field(min_length=1, max_length=500)]

    @classmethod
    def parse(cls, text: bytes, name: str) -> Self:
        """The templates of a file. TemplateError names the file and its first fault."""
        if len(text) > MAX_FILE_BYTES:
            raise TemplateError(f"{name} is larger than {MAX_FILE_BYTES // 1024} KB.")
        try:
            content = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            # ValueError: what looks like a day or a number, and is none.
            raise TemplateError(f"{name} is no YAML.") from None
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            message = first["msg"].removeprefix("Value error, ")
            raise TemplateError(f"{name}: {where}: {message}.") from None

    def of(self, send_id: SendId) -> Template:
        """The template of a mail."""
        return self.templates[hash64("template", send_id) % len(self.templates)]


@cache
def packaged_templates() -> TemplateSet:
    """What users without templates of their own send."""
    path = files("mailtide.warmup") / "data" / "templates.yaml"
    return TemplateSet.parse(path.read_bytes(), "templates.yaml")


def check_spintax(text: str) -> None:
    """ValueError when braces do not match or nest too deeply."""
    depth = 0
    for piece in _PIECE.findall(text):
        depth += (piece == "{") - (piece == "}")
        if depth < 0 or depth > MAX_DEPTH:
            break
    if depth != 0:
        raise ValueError(f"braces must match and nest at most {MAX_DEPTH} deep")


def expand(text: str, seed: str) -> str:
    """One variation of a text: the n-th choice is made by hash64("words", seed, n)."""
    stack: list[list[str]] = [[""]]
    choices = 0
    for piece in _PIECE.findall(text):
        if piece == "{":
            stack.append([""])
        elif piece == "|" and len(stack) > 1:
            stack[-1].append("")
        elif piece == "}" and len(stack) > 1:
            options = stack.pop()
            stack[-1][-1] += options[hash64("words", seed, choices) % len(options)]
            choices += 1
        else:
            stack[-1][-1] += piece
    return stack[0][0]


def subject_of(send_id: SendId, templates: TemplateSet, *, sender: str, recipient: str) -> str:
    """The subject of an original mail. sender, recipient: names."""
    text = " ".join(expand(templates.of(send_id).subject, f"{send_id} subject").split())
    return _with_names(text, sender, recipient)


def body_of(send_id: SendId, templates: TemplateSet, *, sender: str, recipient: str) -> str:
    """The body of an original mail. sender, recipient: names."""
    return _with_names(expand(templates.of(send_id).body, f"{send_id} body"), sender, recipient)


def reply_subject(original_subject: str) -> str:
    """The original's with one Re:."""
    bare = re.sub(r"^(\s*re\s*:\s*)+", "", original_subject, flags=re.IGNORECASE)
    return f"Re: {bare}"


def reply_body(send_id: SendId, original: SendId, templates: TemplateSet, *, sender: str, recipient: str) -> str:
    """The body of a reply; `templates` are those of the original's sender, so that it answers what was written."""
    replies = templates.of(original).replies
    text = replies[hash64("reply", send_id) % len(replies)]
    return _with_names(expand(text, f"{send_id} reply"), sender, recipient)


def _with_names(text: str, sender: str, recipient: str) -> str:
    return _NAME.sub(lambda found: recipient if found[1] == "recipient" else sender, text)
