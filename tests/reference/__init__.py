"""A slow, obvious reading of the scheduling rules in plain Python, one contact at a time.

It shares no code with the product: `tables.read` reads a SQLite file with the standard library, `settings.load` reads the
rules' YAML, `schedule.desired` computes the rows, and `changes.compare` what §9 does with them. Section numbers are those
of the scheduling rules.
"""
