"""Settings, read once from the environment and typed; no default here opens anything in production.

Nothing is decided here: what policy, people or deadlines mean lives in the apps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from environs import Env
from environs.exceptions import EnvError

from config.logs import configuration as logging_configuration

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.bool("DEBUG", False)
DEMO = env.bool("DEMO", False)  # the demo organisation may be made, and its sign-ins are written to var/demo.json
TESTING = env.bool("COUNTERSIGN_TESTING", False)  # set by tests/conftest.py alone
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])  # what an old key sealed is still read
BASE_URL = env.str("BASE_URL", "http://localhost:8000").rstrip("/")  # the issuer of grants, and of links
_base = urlsplit(BASE_URL)
if _base.scheme not in ("http", "https") or f"{_base.scheme}://{_base.netloc}" != BASE_URL or "@" in _base.netloc:
    raise EnvError(
        "BASE_URL must be an origin such as https://countersign.example.org, without a path, a query or a user name."
    )
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", [urlsplit(BASE_URL).hostname or "localhost", "localhost", "127.0.0.1", "[::1]"]
)
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)  # how many X-Forwarded-For hops, from the right, are ours
METRICS_TOKEN = env.str("METRICS_TOKEN", "")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "template_partials.apps.SimpleAppConfig",
    "audit",
    "accounts",
    "agents",
    "approvals",
]

# What `config.middleware` names is for pages alone: a machine's call carries no session, cookie or language.
MIDDLEWARE = [
    "config.request_log.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.NoStore",
    "config.middleware.GZip",
    "config.middleware.WhiteNoise",
    "config.middleware.Session",
    "config.middleware.Locale",
    "config.middleware.Common",
    "config.middleware.Csrf",
    "config.middleware.Authentication",
    "config.middleware.LoginRequired",
    "config.middleware.Messages",
    "allauth.account.middleware.AccountMiddleware",  # by its own name: allauth asks for it
    "config.middleware.Htmx",
    "config.middleware.SignInForFragments",
    "config.middleware.Unavailable",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False  # a redirect turns a POST into a GET; pages declare their slash, the API answers both

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": ["template_partials.templatetags.partials", "config.assets"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.page",
            ],
        },
    }
]

# -- PostgreSQL: one alias; which role it connects as is the process's (COUNTERSIGN_ROLE, set by manage.py) ----------
DATABASE_URL = env.str("DATABASE_URL")
DATABASE_ROLE_URLS = {
    "app": DATABASE_URL,
    "owner": env.str("DATABASE_OWNER_URL", "") or DATABASE_URL,
    "sealer": env.str("DATABASE_SEALER_URL", "") or DATABASE_URL,
    "eraser": env.str("DATABASE_ERASER_URL", "") or DATABASE_URL,
}
ROLES_SEPARATED = len(set(DATABASE_ROLE_URLS.values())) == len(DATABASE_ROLE_URLS)
COUNTERSIGN_ROLE = env.str("COUNTERSIGN_ROLE", "app")
_pool = env.int("DATABASE_POOL", 0)  # connections a web process may hold; 0: one a thread, as commands and workers want
_database = env.dj_db_url("DATABASE_URL")
if COUNTERSIGN_ROLE != "app":
    with env.prefixed("DATABASE_"):
        _database = env.dj_db_url(f"{COUNTERSIGN_ROLE.upper()}_URL", DATABASE_URL)
DATABASES: dict[str, Any] = {
    "default": {
        **_database,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0 if _pool else 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **dict(_database.get("OPTIONS", {})),
            # An acknowledged write is on disk: with it off a killed server lost 18 of 15 275.
            # No writer's transaction may outlive the sealer's floor (30 s).
            "options": "-c synchronous_commit=on -c idle_in_transaction_session_timeout=30s -c timezone=UTC",
            **({"pool": {"min_size": 1, "max_size": _pool, "timeout": 3}} if _pool else {}),
        },
    }
}
# Reads for those who wait (config.waits) leave half the pool to everybody else.
WAITS_READS_AT_ONCE = max(1, (_pool or 16) // 2)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Redis: messages, wake-ups and counters; it may be lost at any moment --------------------------------------------
REDIS_URL = env.str("REDIS_URL", "redis://localhost:6379/0")
REDIS_TIMEOUT_SECONDS = 0.25  # a Redis that hangs is away
REDIS_RETRY_SECONDS = 5.0  # and stays away this long before it is tried again
CELERY = {
    # kombu spells a Redis behind a socket file its own way
    "broker_url": REDIS_URL.replace("unix://", "redis+socket://", 1),
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # an hour without Redis is no reason to end
    # Nobody orders workers about through Redis; and its queue, when Redis was killed, could not be taken down and took
    # the worker with it (AttributeError in kombu 5.7, `Channel.close`), in 7 of 17 kills.
    "worker_enable_remote_control": False,
    "broker_transport_options": {"socket_timeout": 5, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS},
    "accept_content": ["json"],
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "task_time_limit": 60,
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "timezone": "UTC",
}

# Sign-in attempts and used one-time codes are counted here, by all processes together.
CACHES = {"default": {"BACKEND": "config.cache.SharedCache", "KEY_PREFIX": "countersign:cache"}}

# -- keys, all distinct; the log key is read by the sealer alone -----------------------------------------------------
GRANT_KEY_PATH = env.str("GRANT_KEY_PATH", "")
AUDIT_KEY_PATH = env.str("AUDIT_KEY_PATH", "")
AUDIT_OUTSIDE_PATH = env.str("AUDIT_OUTSIDE_PATH", "")
AUDIT_ORIGIN_HOST = env.str("AUDIT_ORIGIN_HOST", urlsplit(BASE_URL).hostname or "localhost")

# -- people -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # an address is unique whatever its case, by a constraint the check can't see
    "security.W002",  # framing is forbidden by frame-ancestors in the CSP, which every answer carries
    "security.W003",  # Django's own CSRF middleware, in `config.middleware.Csrf`: passed by for machines' calls alone
    "security.W005",  # whether every other name under the domain speaks https is its owner's to say, not ours
    "security.W008",  # the proxy redirects: only it hears plain HTTP from outside, and probes come by plain HTTP
    "security.W021",  # likewise the preload list, which takes a whole domain and lets it go after months
]
AUTHENTICATION_BACKENDS = ["config.signed_in.Backend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/queue/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # people are invited, never self-registered
ACCOUNT_ADAPTER = "accounts.adapters.ClosedAdapter"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no letter goes to a stranger whose address somebody typed
ACCOUNT_FORMS = {"reset_password": "accounts.adapters.ResetPassword"}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES  # else all who come through a proxy share its attempts
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
MFA_ADAPTER = "accounts.adapters.SealingAdapter"
MFA_FORMS = {
    "authenticate": "accounts.adapters.SignInCode",
    "reauthenticate": "accounts.adapters.ConfirmCode",
    "activate_totp": "accounts.adapters.FirstCode",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an address is the administrator's word: nobody registers one
MFA_TOTP_ISSUER = "Countersign"
MFA_TOTP_TOLERANCE = 1  # a code read just before it turned over, or a phone half a minute off; each is good once
# -- and through the organisation's own provider, where one is set (`accounts.oidc`)
OIDC_ISSUER = env.str("OIDC_ISSUER", "").rstrip("/")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "your organisation")  # as the button has it: Sign in with …
if OIDC_ISSUER and not (
    OIDC_ISSUER.startswith("https://") or urlsplit(OIDC_ISSUER).hostname in ("localhost", "127.0.0.1")
):
    raise EnvError("OIDC_ISSUER must begin with https://")
SOCIALACCOUNT_ADAPTER = "accounts.oidc.PeopleOnly"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Secure only over https, so that the demo on http://localhost signs in.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [BASE_URL]
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if BASE_URL.startswith("https://") else 0
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# -- telling people and machines --------------------------------------------------------------------------------------
EMAIL_FILE_PATH = env.str("EMAIL_FILE_PATH", "")  # the demo keeps its mail in this folder, a file a letter
EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND",
    f"django.core.mail.backends.{('filebased' if EMAIL_FILE_PATH else 'console') if DEMO else 'smtp'}.EmailBackend",
)
EMAIL_HOST = env.str("EMAIL_HOST", "localhost")
EMAIL_PORT = env.int("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", False)
# Whether one-time links are shown to the administrator who makes them. Whoever sees a link can become the person it is
# for, and so have two votes or confirm their own proposal: only for a house without mail.
SHOW_LINKS = env.bool("SHOW_LINKS", DEMO)
EMAIL_TIMEOUT = 10  # a server that hangs holds up no other channel
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", f"countersign@{urlsplit(BASE_URL).hostname or 'localhost'}")
# {"<team>": "<Apprise URL>", "*": "<Apprise URL>"}: a room a team, `*` hears of every request. Needs the extra `chat`.
CHAT_URLS: dict[str, str] = dict(env.json("CHAT_URLS", {}))
# Lets webhooks of the demo, and of nothing else, reach this very machine.
WEBHOOKS_ALLOW_LOOPBACK = DEMO and env.bool("WEBHOOKS_ALLOW_LOOPBACK", False)

# -- the agents' API --------------------------------------------------------------------------------------------------
API_BODY_LIMIT_BYTES = 256 * 1024
API_RATE_PER_SECOND = env.int("API_RATE_PER_SECOND", 20)
API_RATE_BURST = env.int("API_RATE_BURST", 200)
PENDING_PER_AGENT = env.int("PENDING_PER_AGENT", 1200 if DEMO else 200)  # requests of one agent before people at once
CONNECTIONS = env.int("CONNECTIONS", 4096)  # what the Procfile gives uvicorn as its limit: exported, to alert before it
API_WAITS_PER_KEY = env.int("API_WAITS_PER_KEY", 200)  # held at once, in each web process
PAGE_BODY_LIMIT_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # every address that is not the API's
BODY_SECONDS = 30.0  # within which a body must have arrived
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["agents.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["agents.authentication.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["agents.throttling.KeyThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["agents.wire.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["agents.wire.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "agents.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "agents.wire.handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "Agents ask, policy and people decide, silence means no.",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": "/"}],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "approvals.api.schema.without_trailing_slash",
        "approvals.api.schema.any_value_is_any_value",
    ],
}

# -- files, words, times ----------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.str("STATIC_ROOT", "") or None
WHITENOISE_USE_FINDERS = True  # the checkout serves its own files; an image runs collectstatic
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # what the words are in: a page must not say that it is in the browser's
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
POLICY_PACK = env.str("POLICY_PACK", "demo" if DEMO else "")  # loaded into an empty database as the bootstrap version

LOGGING_CONFIG = None
logging_configuration(
    json=not DEBUG and not DEMO and not TESTING, level=env.str("LOG_LEVEL", "WARNING" if TESTING or DEMO else "INFO")
)
