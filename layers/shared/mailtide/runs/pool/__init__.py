"""Machines that are kept stopped between tasks: who has one, who makes them, what becomes of them, and what they cost."""
