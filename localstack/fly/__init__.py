"""A Fly Machines API on this computer: its machines are local processes, and it fails on demand."""
