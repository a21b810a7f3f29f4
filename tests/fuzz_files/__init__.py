"""A fuzzer for uploaded databases: it mutates real files, guided by the lines that they reach; each trial has its own process."""
