"""Python's cyclic garbage collector in a process that many wait for: it stops every thread while it looks.

By its own settings it looked at all objects of the process every few seconds: 190 ms with a thousand agents waiting,
850 ms with ten thousand, which was the whole of the slowest hundredth of their answers.
"""

from __future__ import annotations

import gc

from django.urls import get_resolver

#: Objects made and not let go of before the young are looked at (3 to 5 ms); how often those are before the older ones,
#: and how often these before all. A request leaves 150 to 200 in cycles, so this is 10 requests, 100, and 10,000;
#: whatever is in no cycle goes at once, as ever.
THRESHOLDS = (2_000, 10, 100)


def settle() -> None:
    """Take what is loaded for permanent, and look at the rest less often; once, before anyone is served."""
    _ = get_resolver().url_patterns  # else loaded by the first request, and looked at for ever
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
