"""Chooses what to try next: files that reached new lines, or were refused in new words, are mutated further."""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz_files.mutations import mutate
from tests.fuzz_files.trial import USES, Limits, Use, Verdict, try_file

CORPUS_LIMIT = 400


@dataclass(slots=True)
class Finding:
    """A file that was not dealt with as it should be."""

    what: str
    uses: list[str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """What is tried: the ways in which a file is used, how it is damaged, and which of the uses a damaged one has."""

    uses: dict[str, Use]
    mutate: Callable[[bytes, Random], bytes]
    choose: Callable[[Random], list[str]]


def _of_databases(random: Random) -> list[str]:
    """Planning, a pass, and at times something else that reads."""
    passes = [name for name in USES if name.startswith("pass")]
    names = ["plan", random.choice(passes)]
    if random.random() < 0.3:
        names.append(random.choice([name for name in USES if name not in (*passes, "plan")]))
    return names


DATABASES = Target(USES, mutate, _of_databases)


@dataclass(slots=True)
class Campaign:
    """Trials one after the other; the same seed draws the same ones."""

    seeds: list[bytes]
    random: Random
    folder: Path
    target: Target = DATABASES
    limits: Limits = field(default_factory=Limits)
    trials: int = 0
    refused: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    most_memory_mb: float = 0.0
    lines: set[int] = field(default_factory=set)
    sentences: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    _corpus: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        """The seeds themselves, whole: every use must go well on each."""
        for content in self.seeds:
            verdict = self._try(content, self.target.uses)
            refusals = {name: said for name, said in verdict.sentences.items() if said is not None}
            if refusals and verdict.finding is None:
                self.findings.append(Finding(f"a sound file was refused: {refusals}", list(refusals), content))

    def step(self) -> None:
        """Mutate one file and try it."""
        known = self._corpus if self._corpus and self.random.random() < 0.6 else self.seeds
        content = self.target.mutate(self.random.choice(known), self.random)
        self._try(content, {name: self.target.uses[name] for name in self.target.choose(self.random)})

    def _try(self, content: bytes, uses: dict[str, Use]) -> Verdict:
        verdict = try_file(content, uses, self.folder, self.limits)
        self.trials += 1
        self.slowest_s = max(self.slowest_s, verdict.seconds)
        self.most_memory_mb = max(self.most_memory_mb, verdict.memory_mb)
        said = [sentence for sentence in verdict.sentences.values() if sentence is not None]
        self.refused += bool(said)
        self.accepted += not said
        if verdict.finding:
            self.findings.append(Finding(verdict.finding, list(uses), content))
        words = {re.sub(r"[\d\W]+", " ", sentence)[:60] for sentence in said}
        is_new = bool(verdict.lines - self.lines) or any(word not in self.sentences for word in words)
        self.lines |= verdict.lines
        self.sentences.update(words)
        if is_new and len(content) < 4 << 20:
            self._keep(content)
        return verdict

    def _keep(self, content: bytes) -> None:
        if len(self._corpus) >= CORPUS_LIMIT:
            self._corpus.pop(self.random.randrange(len(self._corpus)))
        self._corpus.append(content)


def run(
    campaign: Campaign,
    *,
    trials: int | None,
    until_s: float | None,
    say: Callable[[str], None],
    report: Callable[[Finding], None],
) -> None:
    """Go on until there were so many trials, or until that moment of time.monotonic(); findings are reported as they come."""
    campaign.begin()
    told_s, reported = time.monotonic(), 0
    while (trials is None or campaign.trials < trials) and (until_s is None or time.monotonic() < until_s):
        campaign.step()
        for finding in campaign.findings[reported:]:
            report(finding)
        reported = len(campaign.findings)
        if time.monotonic() - told_s > 10:
            told_s = time.monotonic()
            say(
                f"{campaign.trials:,} trials: {campaign.refused:,} refused, {campaign.accepted:,} accepted, "
                f"{len(campaign.lines):,} lines, {len(campaign.findings)} findings"
            )
