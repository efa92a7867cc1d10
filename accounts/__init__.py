"""People: users, teams, roles, sign-in. Knows nothing of agents or requests."""
