"""What happened, provably: entries, the Merkle tree over them, signed checkpoints, and their verification.

Knows nobody above it: it must outlive what it describes and be checkable without the rest.
docs/reference/evidence-log.md describes every byte. Writers call `entries.record`; the sealer (`sealing`)
puts what they wrote in the tree; `verify` re-derives all of it; `health` says whether evidence is being kept
right now.
"""
