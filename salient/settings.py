"""Every setting, typed and read once from the environment (and from .env)."""

import sys
from decimal import Decimal
from pathlib import Path

import django_stubs_ext
import environ
from django.utils.csp import CSP

from salient import database

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules
env = environ.Env()
if not TESTING:
    # Tests know nothing of this checkout's keys and switches.
    env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="insecure-tests-only" if TESTING else environ.Env.NOTSET)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
API_KEY_PEPPER = env.str("API_KEY_PEPPER", default=SECRET_KEY)
# How long a key lives unless its maker says otherwise.
API_KEY_DAYS = env.int("API_KEY_DAYS", default=365)
VISITOR_TOKEN_SECONDS = env.int("VISITOR_TOKEN_SECONDS", default=30 * 24 * 3600)
# X-Forwarded-* is believed of the server that connects and of these networks, right to left.
TRUST_PROXY_HEADERS = env.bool("TRUST_PROXY_HEADERS", default=False)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# The first one encrypts the secrets in the database, each of them decrypts (salient/secrets.py).
SECRET_ENCRYPTION_KEYS = env.list(
    "SECRET_ENCRYPTION_KEYS", default=["insecure-tests-only"] if TESTING else []
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# The demo flag: chat pages are open to every visitor.
DEMO = env.bool("DEMO", default=False)
AGENT_CONFIG_DIR = Path(env.str("AGENT_CONFIG_DIR", default=str(BASE_DIR / "config/agent_configs")))
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=256 * 1024)
# Admin forms, without files.
MAX_PAGE_BODY_BYTES = env.int("MAX_PAGE_BODY_BYTES", default=1024 * 1024)
# A request's line and headers must have arrived within this time, all of them together.
HEADER_TIMEOUT_SECONDS = env.float("HEADER_TIMEOUT_SECONDS", default=10.0)
# A body must have arrived, and a client must have taken what is sent, within these times.
BODY_TIMEOUT_SECONDS = env.float("BODY_TIMEOUT_SECONDS", default=20.0)
SEND_TIMEOUT_SECONDS = env.float("SEND_TIMEOUT_SECONDS", default=15.0)
STREAM_MAX_SECONDS = env.float("STREAM_MAX_SECONDS", default=600.0)
# How often it is asked whether the callers of running turns may still call.
ADMISSION_RECHECK_SECONDS = env.float("ADMISSION_RECHECK_SECONDS", default=4.0)
STREAM_HEARTBEAT_SECONDS = env.float("STREAM_HEARTBEAT_SECONDS", default=15.0)

# Where URLs that tenants chose may lead besides public hosts on port 443: further ports, and
# hosts ("vllm.internal:8000") that may be anywhere and need no https.
OUTBOUND_PORTS = [int(port) for port in env.list("OUTBOUND_PORTS", default=[])]
OUTBOUND_TRUSTED_HOSTS = env.list("OUTBOUND_TRUSTED_HOSTS", default=[])

# What an account may take unless its own row in account_limits says otherwise (docs/limits.md).
DEFAULT_LIMITS = {
    "requests_per_minute": env.int("LIMIT_REQUESTS_PER_MINUTE", default=600),
    "requests_per_minute_per_key": env.int("LIMIT_REQUESTS_PER_MINUTE_PER_KEY", default=600),
    "requests_per_minute_per_visitor": env.int("LIMIT_REQUESTS_PER_MINUTE_PER_VISITOR", default=30),
    "requests_per_minute_per_network": env.int(
        "LIMIT_REQUESTS_PER_MINUTE_PER_NETWORK", default=120
    ),
    "concurrent_turns": env.int("LIMIT_CONCURRENT_TURNS", default=500),
    "message_bytes": env.int("LIMIT_MESSAGE_BYTES", default=32 * 1024),
    "history_messages": env.int("LIMIT_HISTORY_MESSAGES", default=200),
}
# How many attempts to log in one network may make (accounts/attempts.py).
LIMIT_LOGINS_PER_MINUTE_PER_NETWORK = env.int("LIMIT_LOGINS_PER_MINUTE_PER_NETWORK", default=30)
# Sent to the model where neither the agent's configuration nor the account bounds its answer.
DEFAULT_OUTPUT_TOKENS = env.int("DEFAULT_OUTPUT_TOKENS", default=4096)
# What a million tokens are taken to cost (USD) where no price is known.
UNKNOWN_PRICE_PER_MTOK = Decimal(env.str("UNKNOWN_PRICE_PER_MTOK", default="10"))

ROOT_URLCONF = "salient.urls"
ASGI_APPLICATION = "salient.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "salient",
    "accounts",
    "agents",
    "sessions_app",
    "salient.apps.SalientAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "servestatic",
    "django.contrib.staticfiles",
]

# For pages and the admin. The API has a handler of its own (salient/api_handler.py).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "salient.routing.AppendSlash",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "salient.away.DatabaseAwayMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.csp",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}

# API work runs in threads that keep a connection each; pages share the rest of the pool.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=8)
DATABASE_API_THREADS = 0 if TESTING else env.int("DATABASE_API_THREADS", default=3)
DATABASE_API_CHANNELS = env.int("DATABASE_API_CHANNELS", default=3)
DATABASES = {
    "default": database.database_config(
        env.str("DATABASE_URL", default="") or None,
        pool_size=DATABASE_POOL_SIZE,
        api_connections=DATABASE_API_THREADS + DATABASE_API_CHANNELS,
    )
    # Two test runs side by side need two names.
    | {"TEST": {"NAME": env.str("TEST_DATABASE_NAME", default="test_salient")}}
}

# HTTPS is the rule; a development machine has none.
HTTPS = env.bool("HTTPS", default=not DEBUG)
# What salient/checks.py refuses without them: plain HTTP, and DEBUG beyond this machine.
ALLOW_HTTP = env.bool("ALLOW_HTTP", default=False)
ALLOW_OPEN_DEBUG = env.bool("ALLOW_OPEN_DEBUG", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if TRUST_PROXY_HEADERS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

PASSWORD_HASHERS = [
    "accounts.hashing.Argon2Hasher",
    "accounts.hashing.PBKDF2Hasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"

# Where links in e-mails lead: https://chat.example; without one, the host of the request.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")

# EMAIL_URL: smtp+tls://user:password@host:587; without one, e-mail is written to the console.
_MAIL = env.email_url("EMAIL_URL", default="consolemail://")
_SMTP = {
    "host": _MAIL["EMAIL_HOST"],
    "port": _MAIL["EMAIL_PORT"] or 25,
    "username": _MAIL["EMAIL_HOST_USER"] or "",
    "password": _MAIL["EMAIL_HOST_PASSWORD"] or "",
    "use_tls": _MAIL.get("EMAIL_USE_TLS", False),
    "use_ssl": _MAIL.get("EMAIL_USE_SSL", False),
    "timeout": 10,
}
MAILERS = {
    "default": {
        "BACKEND": _MAIL["EMAIL_BACKEND"],
        "OPTIONS": _SMTP if _MAIL["EMAIL_HOST"] else {},
    }
}
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="salient@localhost")

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "salient.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
if DEBUG or TESTING:
    # Nothing has been collected; the middleware wants a folder all the same.
    STATIC_ROOT = BASE_DIR / "var/static"
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
else:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        "without_tokens": {"()": "salient.logs.WithoutTokens"},
        "one_line_refusals": {"()": "salient.logs.OneLineRefusals"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["without_tokens", "one_line_refusals"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO").upper()},
    "loggers": {
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # It warns of every try; what comes of them is told once, by whoever needed the connection.
        "psycopg.pool": {"level": "ERROR"},
    },
}
