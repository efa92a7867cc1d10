"""That the benches still run, each at a tiny size, and that their ledger finds what it is for. No figure is judged."""
