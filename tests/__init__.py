"""The suite mirrors the house: one folder for each kind of proof."""
