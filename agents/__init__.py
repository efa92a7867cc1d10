"""Who may ask: agents, executors, their keys, and how a caller of the API is known and limited."""
