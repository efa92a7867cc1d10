"""The ASGI application: the body limit, the long waits, the measuring, then Django. No rule of the domain is here."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Under ASGI each request has a thread of its own: a connection kept by its thread is never used again, and lies open
# until the collector finds it (40 waiters: 45 connections, for ever). A pool is shared, and asked back after each.
os.environ.setdefault("DATABASE_POOL", "30")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 - ready only now

from config.body_limit import BodyLimit  # noqa: E402
from config.lifespan import Lifespan  # noqa: E402
from config.measures import Measured  # noqa: E402
from config.waits import Waits  # noqa: E402

# Said once for WhiteNoise's own files (an icon, the manifest): a few kilobytes, read at once.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

application = Lifespan(
    BodyLimit(
        Waits(Measured(django_application)),
        api_limit=settings.API_BODY_LIMIT_BYTES,
        page_limit=settings.PAGE_BODY_LIMIT_BYTES,
        seconds=settings.BODY_SECONDS,
    )
)
