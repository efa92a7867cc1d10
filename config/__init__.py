"""How the parts are plugged together; no domain rule lives here."""
