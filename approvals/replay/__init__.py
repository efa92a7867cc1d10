"""Tells what was decided once more from the log alone, and holds it against the tables. Nothing is changed here.

`story` knows the rules and no database, `tables` reads both sides at one moment, `outbox` finds what was left lying.
"""
