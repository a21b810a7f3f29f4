"""What the rules want for every contact (§2 eligibility, §4 to §8)."""

import datetime
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.reference import values
from tests.reference.smoothing import smooth
from tests.reference.tables import HISTORY, PLANNED, Tables
from tests.reference.windows import ContactWindows, last_anniversary, next_anniversary

type Row = dict[str, Any]

EPOCH = datetime.date(1970, 1, 1)
MASK = 2**64 - 1


def mail_hash(contact_id: int, email_type: str, year: int) -> int:
    x = contact_id * 0x9E3779B97F4A7C15
    x += zlib.crc32(email_type.encode()) * 0xBF58476D1CE4E5B9
    x += year * 0x94D049BB133111EB
    x &= MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@dataclass
class Result:
    rows: list[Row]
    """By key: contact_id, email_type, event_date, campaign_instance_id, and the other columns of §9 (dates as dates)."""
    eligible: int = 0
    skipped_contacts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


class Contact:
    """One eligible contact with all that is known of it."""

    def __init__(self, row: Row, state: str, tables: Tables, rules: Row, as_of: datetime.date) -> None:
        self.row, self.rules, self.tables, self.as_of = row, rules, tables, as_of
        self.state = state
        self.windows = ContactWindows(row, state, rules)
        mine = [other for other in tables.schedules if other["contact_id"] == row["id"] and other["email_type"]]
        self.history = [other for other in mine if other["status"] in HISTORY]
        self.others = [other for other in mine if other["status"] not in HISTORY + PLANNED]
        self.waits_too_long = 0

    # §4

    def days_before(self, email_type: str) -> int:
        if email_type == "birthday":
            return int(self.rules["birthday_days_before"])
        if email_type == "effective_date":
            return int(self.rules["effective_date_days_before"])
        for kind in self.tables.campaign_types:
            if email_type == "campaign_" + kind["name"]:
                return int(kind["days_before_event"])
        return 0

    def candidate(self, email_type: str, event: datetime.date | None, more: Row | None = None) -> Row:
        days = self.days_before(email_type)
        templates = self.rules["templates"].get(email_type) or {}
        return {
            "contact_id": self.row["id"],
            "email_type": email_type,
            "event_date": event,
            "ideal": values.plus(event, -days),
            "deadline": event,
            "priority": (self.rules["priorities"] or {}).get(email_type, 10),
            "campaign_instance_id": 0,
            "obeys": True,
            "email_template": templates.get("email"),
            "sms_template": templates.get("sms"),
            "skip_reason": None,
            **(more or {}),
        }

    def anniversaries(self, pick: Callable[[datetime.date, datetime.date], datetime.date | None]) -> list[Row]:
        """birthday, effective_date and aep, with the anniversary that `pick` chooses."""
        found = []
        for email_type, column in (("birthday", "birth_date"), ("effective_date", "effective_date")):
            if self.row[column] is not None:
                found.append(self.candidate(email_type, pick(self.row[column], self.as_of)))
        entries = [datetime.date.fromisoformat("2000-" + entry) for entry in self.rules["aep_dates"]]
        for event in {pick(entry, self.as_of) for entry in entries}:
            found.append(self.candidate("aep", event))
        return [row for row in found if row["event_date"] is not None]

    def counts(self, instance: Row, kind: Row | None) -> bool:
        start, end = instance["active_start_date"], instance["active_end_date"]
        return (
            kind is not None
            and kind["active"]
            and (start is None or start <= self.as_of)
            and (end is None or self.as_of <= end)
        )

    def triggers(self, instance: Row, kind: Row) -> set[datetime.date]:
        if kind["target_all_contacts"]:
            return {instance["active_start_date"]} - {None}
        return {
            row["trigger_date"]
            for row in self.tables.targets
            if row["contact_id"] == self.row["id"]
            and row["campaign_instance_id"] == instance["id"]
            and row["status"] in ("pending", "scheduled", "")
            and row["trigger_date"] is not None
        }

    def campaigns(self) -> list[Row]:
        found = []
        kinds = {kind["name"]: kind for kind in self.tables.campaign_types}
        for instance in self.tables.instances:
            kind = kinds.get(instance["campaign_type"])
            if kind is None or not self.counts(instance, kind):
                continue
            email_type = "campaign_" + kind["name"]
            templates = self.rules["templates"].get(email_type) or {}
            for trigger in self.triggers(instance, kind):
                found.append(
                    self.candidate(
                        email_type,
                        trigger,
                        {
                            "deadline": trigger if kind["days_before_event"] > 0 else instance["active_end_date"],
                            "priority": kind["priority"],
                            "campaign_instance_id": instance["id"],
                            "obeys": kind["respect_exclusion_windows"],
                            "email_template": instance["email_template"] or templates.get("email"),
                            "sms_template": instance["sms_template"] or templates.get("sms"),
                        },
                    )
                )
        return found

    def handled(self, candidate: Row) -> bool:
        for row in self.history:
            if row["email_type"] != candidate["email_type"]:
                continue
            if row["campaign_instance_id"] not in (0, candidate["campaign_instance_id"]):
                continue
            if row["event_date"] is not None:
                if row["event_date"] == candidate["event_date"]:
                    return True
                continue
            stands_for = values.plus(row["scheduled_send_date"], self.days_before(row["email_type"]))
            if stands_for is not None and abs((candidate["event_date"] - stands_for).days) < 45:
                return True
        return any(key_of(row) == key_of(candidate) for row in self.others)

    def send_date(self, candidate: Row) -> datetime.date | None:
        ideal: datetime.date | None = candidate["ideal"]
        deadline, today = candidate["deadline"], self.as_of
        if ideal is None or ideal >= today:
            return ideal
        if deadline is not None and today > deadline:
            return None
        number = hash_of(candidate)
        send = values.plus(today, (number - (today - EPOCH).days) % self.rules["catch_up_spread_days"])
        if deadline is not None and (send is None or send > deadline):
            send = values.plus(today, number % ((deadline - today).days + 1))
        return send

    # §5

    def candidates(self) -> list[Row]:
        """All but follow-ups, before §6."""
        rows = []
        sources: list[datetime.date] = []
        for candidate in self.anniversaries(next_anniversary) + self.campaigns():
            if self.handled(candidate):
                continue
            candidate["send"] = self.send_date(candidate)
            if candidate["send"] is None:
                continue
            rows.append(candidate)
            named = self.windows.named(candidate["send"]) if candidate["obeys"] else None
            if named is not None:
                candidate["skip_reason"] = self.reason(named.kind)
                sources.append(named.end)
        if self.windows.year_round():
            return rows
        return rows + self.post_window(sources + self.missed())

    def reason(self, kind: str) -> str:
        return f"year_round:{self.state}" if kind == "year_round" else f"{kind}_window:{self.state}"

    def missed(self) -> list[datetime.date]:
        """Ends of the occurrences that swallowed mails of the past."""
        past = self.anniversaries(last_anniversary)
        for campaign in self.campaigns():
            if campaign["obeys"] and campaign["deadline"] is not None and campaign["deadline"] < self.as_of:
                past.append(campaign)
        ends = []
        for mail in past:
            if mail["ideal"] is None or self.handled(mail):
                continue
            named = self.windows.named(mail["ideal"])
            if named is not None:
                ends.append(named.end)
        return ends

    def post_window(self, ends: list[datetime.date]) -> list[Row]:
        taken = []
        for end in ends:
            free = self.windows.first_free(values.plus(end, 1), until=self.as_of)
            if free is None or (free - self.as_of).days >= -self.rules["catch_up_spread_days"]:
                taken.append(end)
        if not taken:
            return []
        event = min(taken)
        after = values.plus(event, 1)
        latest = values.plus(event, 366)
        send = self.windows.first_free(max(after, self.as_of), until=latest) if after is not None else None
        if send is None or (send - event).days > 366:
            self.waits_too_long += 1
            return []
        mail = self.candidate("post_window", event, {"deadline": None, "send": send})
        return [] if self.handled(mail) else [mail]

    # §7

    def thin_out(self, rows: list[Row]) -> None:
        """Same day and frequency: sets the skip_reason of the contact's unskipped rows."""
        ranks = {"birthday": 0, "effective_date": 1, "aep": 2, "post_window": 3}
        rows.sort(
            key=lambda row: (
                row["priority"],
                ranks.get(row["email_type"], 4),
                row["email_type"] if row["email_type"] not in ranks else "",
                row["send"],
                row["campaign_instance_id"],
                row["event_date"],
            )
        )
        accepted: list[Row] = []
        past = [
            row["scheduled_send_date"]
            for row in self.history
            if row["scheduled_send_date"] is not None and not row["email_type"].startswith("followup_")
        ]
        most = self.rules["max_emails_per_period"]
        for row in rows:
            same = [other for other in accepted if other["send"] == row["send"]]
            near = [day for day in past if abs((day - row["send"]).days) < self.rules["period_days"]]
            near += [o["send"] for o in accepted if abs((o["send"] - row["send"]).days) < self.rules["period_days"]]
            if same:
                row["skip_reason"] = "same_day:" + same[0]["email_type"]
            elif most is not None and len(near) >= most:
                row["skip_reason"] = "frequency_limit"
            else:
                accepted.append(row)

    # §8

    def initial_mail(self) -> tuple[datetime.date, Row] | None:
        followed = {"birthday", "effective_date", "aep", "post_window"}
        followed |= {"campaign_" + kind["name"] for kind in self.tables.campaign_types if kind["enable_followups"]}
        oldest = values.plus(self.as_of, -self.rules["followup_lookback_days"]) or datetime.date.min
        found = []
        for row in self.history:
            if row["status"] not in ("sent", "delivered") or row["email_type"] not in followed:
                continue
            if row["scheduled_send_date"] is None:
                continue
            sent = row["actual_send_datetime"] or row["scheduled_send_date"]
            if oldest <= sent <= self.as_of:
                found.append((sent, row["id"], row))
        if not found:
            return None
        sent, _, row = max(found, key=lambda item: item[:2])
        return sent, row

    def followup_type(self, sent: datetime.date) -> str:
        def recent(day: datetime.date | None) -> bool:
            return day is not None and sent <= day <= self.as_of

        mine = self.row["id"]
        answers = [
            event["metadata"]
            for event in self.tables.events
            if event["contact_id"] == mine
            and event["event_type"] == "eligibility_answered"
            and recent(event["created_at"])
        ]
        for answer in answers:
            count = answer.get("main_questions_yes_count")
            is_number = isinstance(count, int | float) and not isinstance(count, bool)
            if answer.get("has_medical_conditions") is True or (is_number and count > 0):
                return "followup_4_hq_with_yes"
        if answers:
            return "followup_3_hq_no_yes"
        if any(click["contact_id"] == mine and recent(click["clicked_at"]) for click in self.tables.clicks):
            return "followup_2_clicked_no_hq"
        return "followup_1_cold"

    def followup(self) -> list[Row]:
        initial = self.initial_mail()
        if initial is None:
            return []
        sent, mail = initial
        for row in self.history:
            if row["email_type"].startswith("followup_") and (row["scheduled_send_date"] or datetime.date.min) >= sent:
                return []
        send = values.plus(sent, self.rules["followup_days_after"])
        if send is None:
            return []
        row = self.candidate(
            self.followup_type(sent),
            mail["scheduled_send_date"],
            {
                "send": max(send, self.as_of),
                "priority": mail["priority"],
                "campaign_instance_id": mail["campaign_instance_id"],
            },
        )
        named = self.windows.named(row["send"])
        row["skip_reason"] = None if named is None else self.reason(named.kind)
        return [] if any(key_of(other) == key_of(row) for other in self.history + self.others) else [row]


def key_of(row: Row) -> tuple[Any, ...]:
    return (row["contact_id"], row["email_type"], row["event_date"], row["campaign_instance_id"])


def hash_of(row: Row) -> int:
    return mail_hash(row["contact_id"], row["email_type"], row["event_date"].year)


def judge(row: Row, tables: Tables) -> tuple[str | None, str | None]:
    """The state of an eligible contact, or None and the reason why it is not eligible."""
    if not values.email_is_valid(row["email"]):
        return None, "invalid_email"
    if row["email"].strip().lower() in tables.suppressions:
        return None, "suppressed"
    state = values.state(row.get("state")) or values.state_of_zip(row.get("zip_code"))
    return state, None if state else "no_state"


def desired(tables: Tables, rules: Row, as_of: datetime.date) -> Result:
    """The desired rows, sorted by key, and the counts."""
    result = Result([], skipped_contacts={"invalid_email": 0, "suppressed": 0, "no_state": 0})
    result.notes = {"state_zip_mismatch": 0, "post_window_beyond_366_days": 0}
    contacts: list[Contact] = []
    for row in tables.contacts:
        state, reason = judge(row, tables)
        if state is None:
            result.skipped_contacts[str(reason)] += 1
            continue
        result.notes["state_zip_mismatch"] += values.state_of_zip(row.get("zip_code")) not in (None, state)
        contacts.append(Contact(row, state, tables, rules, as_of))
    result.eligible = len(contacts)
    rows_of = {contact.row["id"]: contact.candidates() for contact in contacts}
    unskipped = [row for rows in rows_of.values() for row in rows if row["skip_reason"] is None]
    windows_of = {contact.row["id"]: contact.windows for contact in contacts}
    for row in unskipped:
        row["hash"] = hash_of(row)
    smooth(unskipped, windows_of, rules, as_of, len(contacts))
    for contact in contacts:
        rows = rows_of[contact.row["id"]]
        contact.thin_out([row for row in rows if row["skip_reason"] is None])
        result.notes["post_window_beyond_366_days"] += contact.waits_too_long
        has_phone = contact.row.get("phone_number") is not None
        for row in rows + contact.followup():
            result.rows.append(
                {
                    "contact_id": row["contact_id"],
                    "email_type": row["email_type"],
                    "event_date": row["event_date"],
                    "campaign_instance_id": row["campaign_instance_id"],
                    "scheduled_send_date": row["send"],
                    "scheduled_send_time": rules["send_time"],
                    "status": "pre-scheduled" if row["skip_reason"] is None else "skipped",
                    "skip_reason": row["skip_reason"],
                    "priority": row["priority"],
                    "email_template": row["email_template"],
                    "sms_template": row["sms_template"] if has_phone else None,
                }
            )
    result.rows.sort(key=key_of)
    return result
