"""What the counts of bad data in a report mean, in one sentence each."""

MEANINGS: dict[str, str] = {
    "invalid_id": "The id is no whole number: the contact gets no mail.",
    "invalid_email": "The e-mail address is none: the contact gets no mail.",
    "suppressed": "The address is suppressed: the contact gets no mail.",
    "no_state": "Neither state nor ZIP code says where: the contact gets no mail.",
    "state_zip_mismatch": "State and ZIP code disagree; the state counts.",
    "invalid_birth_date": "The birth date is no date: no birthday mail.",
    "invalid_effective_date": "The effective date is no date: no effective date mail.",
    "invalid_instance_id": "The campaign instance's id is no whole number: it is left out.",
    "invalid_instance_date": "An active date of the campaign instance is no date: it is left out.",
    "campaign_instances_without_start": "The campaign targets everybody and has no start: it is left out.",
    "invalid_contact_campaigns_trigger_date": "A trigger date of a campaign is no date: no mail for it.",
    "invalid_tracking_clicks_clicked_at": "The time of a click is no date: the click does not count.",
    "invalid_contact_events_created_at": "The time of an answer is no date: the answer does not count.",
    "post_window_beyond_366_days": "No free day within 366 days of a window: no post-window mail.",
}
"""Count -> meaning."""
