"""Seeded scenarios of several organisations under faults on the deployed template: `make chaos SEEDS=1-200`."""
