"""Ticks of the schedule -> the day's roster, and one message a shard."""

from mailtide.planning_handler import plan_ticks

handler = plan_ticks()
