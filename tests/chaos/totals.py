"""What all scenarios together came to."""

from collections import Counter

from pydantic import BaseModel, Field

from tests.chaos.facts import Facts, endings


class Totals(BaseModel):
    """Of all scenarios so far; also those of several processes, one added to the other."""

    scenarios: int = 0
    organisations: int = 0
    uploads: int = 0
    machines: int = 0
    ended: Counter[str] = Field(default_factory=Counter[str])
    struck: Counter[str] = Field(default_factory=Counter[str])
    dead_letters: int = 0
    findings: list[str] = Field(default_factory=list)

    def add(self, facts: Facts, found: list[str]) -> None:
        """One more scenario."""
        self.scenarios += 1
        self.organisations += len(facts.organisations)
        self.uploads += sum(version.uploaded for org in facts.organisations for version in org.versions)
        self.machines += sum(len(org.machines) for org in facts.organisations)
        self.ended.update(endings(facts))
        self.struck.update(facts.struck)
        self.dead_letters += len(facts.dead_letters)
        self.findings += found

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in Totals.model_fields})

    def line(self) -> str:
        """The last line of all."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.struck.items()))
        ends = ", ".join(f"{self.ended[status]} {status}" for status in ("published", "failed", "superseded"))
        return (
            f"chaos: {self.scenarios} scenarios, {self.organisations} organisations, {self.uploads} uploads, "
            f"{self.machines} machines; {self.struck.total()} faults struck ({kinds}); runs: {ends}; "
            f"{self.dead_letters} dead letters; {len(self.findings)} findings"
        )
