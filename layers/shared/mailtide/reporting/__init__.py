"""A page about a database's schedule: what stands in it, counted, drawn and explained. Needs the extra `report`."""
