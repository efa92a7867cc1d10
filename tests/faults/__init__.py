"""What happens when parts of the house are killed, hang or were never there."""
