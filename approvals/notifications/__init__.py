"""Who is told what, and how it gets there: addressing notices, sending them, trying again. Nothing is decided here.

No verb waits for anything in here: it leaves a row (`outbox`), and a periodic task finds it.
"""
