"""Benchmarks: each has one command, prints a table and writes JSON to `var/bench/`. The product imports none of it.

They use what the suite uses to make people and to run a house (`tests.support`), and assert nothing but `kills`.
"""
