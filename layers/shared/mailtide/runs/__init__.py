"""The life of a run, as use cases: plan, launch, collect, finish, watch."""
