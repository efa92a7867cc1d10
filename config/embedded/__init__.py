"""The embedded default: a real PostgreSQL and a real Redis from wheels, and the processes of `make up`.

Nothing here knows the domain, and nothing of the domain knows whether its servers are embedded.
"""
