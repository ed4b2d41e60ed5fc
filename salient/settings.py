"""Every setting, typed and read once from the environment (and from .env)."""

import os
import sys
from pathlib import Path

import django_stubs_ext
from django.utils.csp import CSP

from accounts.limits.registry import LIMITS
from salient import database
from salient.environment import values
from salient.environment.reader import Environment
from salient.observability.logs import logging_config

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules
env = Environment()
if not TESTING:
    # Tests know nothing of this checkout's keys and switches.
    ENV_FILE = os.environ.get("ENV_FILE", "")
    env.read_file(Path(ENV_FILE or BASE_DIR / ".env"), must_exist=bool(ENV_FILE))

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.text(
    "SECRET_KEY",
    default="insecure-tests-only" if TESTING else "",
    required="" if TESTING else f"make one with: {values.MAKE_ONE}",
)
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS", default=[], each=str)
API_KEY_PEPPER = env.text("API_KEY_PEPPER", default=SECRET_KEY)
# How long a key lives unless its maker says otherwise.
API_KEY_DAYS = env.integer("API_KEY_DAYS", default=365, least=1, most=36_500)
VISITOR_TOKEN_SECONDS = env.integer(
    "VISITOR_TOKEN_SECONDS", default=30 * 24 * 3600, least=60, most=315_360_000
)
# The cookie of the application before Salient, whose visitors keep their conversations.
FORMER_SESSION_COOKIE = env.text("FORMER_SESSION_COOKIE")
# X-Forwarded-* is trusted from the server that connects and from these networks, right to left.
TRUST_PROXY_HEADERS = env.boolean("TRUST_PROXY_HEADERS", default=False)
TRUSTED_PROXIES = env.items("TRUSTED_PROXIES", default=[], each=values.proxy_network)
# The first one encrypts the secrets in the database, each of them decrypts
# (salient/security/encryption.py).
SECRET_ENCRYPTION_KEYS = env.items(
    "SECRET_ENCRYPTION_KEYS", default=["insecure-tests-only"] if TESTING else [], each=str
)
ALLOWED_HOSTS = env.items(
    "ALLOWED_HOSTS",
    default=["localhost", "127.0.0.1", "[::1]"],
    each=values.host_pattern,
)
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS", default=[], each=values.trusted_origin)
# Where the server listens; gunicorn.conf.py reads the same.
BIND, WORKERS = values.serving(env)

# The demo flag: chat pages are open to every visitor.
DEMO = env.boolean("DEMO", default=False)
AGENT_CONFIG_DIR = env.one(
    "AGENT_CONFIG_DIR", values.folder, default=BASE_DIR / "config/agent_configs"
)
LOCAL_MODEL_DIR = env.text("LOCAL_MODEL_DIR", default=str(BASE_DIR / "var/local"))
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", default=256 * 1024, least=1024, most=2**30)
# Of the routes that take images and files.
MAX_FILES_BODY_BYTES = env.integer(
    "MAX_FILES_BODY_BYTES", default=8 * 1024 * 1024, least=1024, most=2**30
)
# Admin forms, without files.
MAX_PAGE_BODY_BYTES = env.integer(
    "MAX_PAGE_BODY_BYTES", default=1024 * 1024, least=1024, most=2**30
)
# A request's line and headers must have arrived within this time, all of them together.
HEADER_TIMEOUT_SECONDS = env.seconds("HEADER_TIMEOUT_SECONDS", default=10.0)
# A body must have arrived, and a client must have taken what is sent, within these times.
BODY_TIMEOUT_SECONDS = env.seconds("BODY_TIMEOUT_SECONDS", default=20.0)
SEND_TIMEOUT_SECONDS = env.seconds("SEND_TIMEOUT_SECONDS", default=15.0)
STREAM_MAX_SECONDS = env.seconds("STREAM_MAX_SECONDS", default=600.0)
# How often the callers of running turns are checked for revocation.
REVOCATION_CHECK_SECONDS = env.seconds("REVOCATION_CHECK_SECONDS", default=4.0, most=60)
STREAM_KEEP_ALIVE_SECONDS = env.seconds("STREAM_KEEP_ALIVE_SECONDS", default=15.0, most=3600)

# Where URLs that tenants chose may lead besides public hosts on port 443: further ports, and
# hosts ("vllm.internal:8000") that may be anywhere and need no https.
OUTBOUND_PORTS = env.items("OUTBOUND_PORTS", default=[], each=values.port)
# Of these, model connections may use OUTBOUND_TRUSTED_HOSTS, and webhooks those of their own.
OUTBOUND_TRUSTED_HOSTS = env.items("OUTBOUND_TRUSTED_HOSTS", default=[], each=values.host_and_port)
WEBHOOK_TRUSTED_HOSTS = env.items("WEBHOOK_TRUSTED_HOSTS", default=[], each=values.host_and_port)

# What an account may take unless its own row in account_limits says otherwise (docs/limits.md).
DEFAULT_LIMITS = {
    name: env.integer(limit.setting, default=limit.default, least=limit.least, most=limit.most)
    for name, limit in LIMITS.items()
    if limit.default is not None
}
# How many attempts to log in one network may make (accounts/auth/attempts.py).
LIMIT_LOGINS_PER_MINUTE_PER_NETWORK = env.integer(
    "LIMIT_LOGINS_PER_MINUTE_PER_NETWORK", default=30, least=1
)
# How many wrong keys and tokens one address may send (accounts/auth/failures.py).
LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS = env.integer(
    "LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS", default=60, least=1
)
# Sent to the model where neither the agent's configuration nor the account bounds its answer.
DEFAULT_OUTPUT_TOKENS = env.integer("DEFAULT_OUTPUT_TOKENS", default=4096, least=1, most=10_000_000)
# The assumed cost of a million tokens (USD) where no price is known.
UNKNOWN_PRICE_PER_MTOK = env.decimal("UNKNOWN_PRICE_PER_MTOK", default="10", most=1_000_000)

# The queue of the worker (salient/tasks); gunicorn.conf.py reads whether it runs beside the server.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
START_WORKER = values.start_worker(env)

ROOT_URLCONF = "salient.urls"
ASGI_APPLICATION = "salient.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # First, so that the admin's page of accounts takes the place of its own.
    "django_tasks_db",
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

# For pages and the admin. The API has a handler of its own (salient/api/handler.py).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "salient.api.routing.AppendSlash",
    "salient.api.routing.RefuseNul",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "salient.database.unavailable.DatabaseUnavailableMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["accounts.templatetags.amounts"],
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
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", default=8, least=2, most=1000)
DATABASE_API_THREADS = env.integer("DATABASE_API_THREADS", default=3, least=1, most=1000)
DATABASE_API_CONNECTIONS = env.integer("DATABASE_API_CONNECTIONS", default=3, least=1, most=1000)
if TESTING:
    DATABASE_API_THREADS = 0
with env.noting_misconfiguration():
    DATABASES = {
        "default": database.database_config(
            env.one("DATABASE_URL", values.database_url, default="") or None,
            pool_size=DATABASE_POOL_SIZE,
            api_connections=DATABASE_API_THREADS + DATABASE_API_CONNECTIONS,
        )
        # Two test runs side by side need two names.
        | {"TEST": {"NAME": env.text("TEST_DATABASE_NAME", default="test_salient")}}
    }
    # Reports are read from it (accounts/tenancy/replica.py).
    if replica_url := env.one("DATABASE_REPLICA_URL", values.database_url, default=""):
        DATABASES[database.REPLICA] = database.replica_config(
            replica_url, pool_size=DATABASE_POOL_SIZE
        )
        DATABASE_ROUTERS = ["accounts.tenancy.replica.ReplicaRouter"]
# Whether `manage.py distribute --apply` has spread the database over a Citus cluster.
DATABASE_DISTRIBUTED = env.boolean("DATABASE_DISTRIBUTED", default=False)
# Seconds; a replica that is further behind is not asked.
DATABASE_REPLICA_MAX_LAG = env.integer("DATABASE_REPLICA_MAX_LAG", default=30, least=3, most=86_400)

# HTTPS is the rule; a development machine has none.
HTTPS = env.boolean("HTTPS", default=not DEBUG)
# What salient/security/checks.py refuses without them: plain HTTP, and DEBUG beyond this machine.
ALLOW_HTTP = env.boolean("ALLOW_HTTP", default=False)
ALLOW_OPEN_DEBUG = env.boolean("ALLOW_OPEN_DEBUG", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
HSTS_SECONDS = env.integer("HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if TRUST_PROXY_HEADERS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

PASSWORD_HASHERS = [
    "accounts.auth.hashing.Argon2Hasher",
    "accounts.auth.hashing.PBKDF2Hasher",
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
# The playground is for staff who may change agents: a turn costs the account money.
PLAYGROUND_PERMISSION = "agents.change_agentinstance"

# Where links in e-mails lead: https://chat.example; without one, the host of the request.
PUBLIC_URL = env.one("PUBLIC_URL", values.public_url, default="")

# smtp+tls://user:password@host:587; without one, e-mail is written to the console.
MAILERS = env.one(
    "EMAIL_URL",
    values.mail_config,
    default=values.mail_config("consolemail://"),
)
DEFAULT_FROM_EMAIL = env.one("DEFAULT_FROM_EMAIL", values.sender, default="salient@localhost")

LANGUAGE_CODE = "en"
# Every text is English: Django would look each of them up in a catalogue that translates none.
USE_I18N = False
FORMAT_MODULE_PATH = "salient.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
if DEBUG or TESTING:
    # Nothing has been collected; the middleware wants a folder all the same.
    STATIC_ROOT = BASE_DIR / "var/static"
    with env.noting_misconfiguration():
        STATIC_ROOT.mkdir(parents=True, exist_ok=True)
else:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }

LOG_LEVEL = env.one("LOG_LEVEL", values.level, default="INFO")
LOG_FORMAT = env.one("LOG_FORMAT", values.log_format, default="text")
# A line for each request, as a proxy's access log has one.
LOG_REQUESTS = env.boolean("LOG_REQUESTS", default=False)
# Prometheus sends it as “Authorization: Bearer …”; without one there is no /metrics.
METRICS_TOKEN = env.one("METRICS_TOKEN", values.metrics_token, default="")
# How many accounts have figures of their own there, those with the most turns of the day.
METRICS_ACCOUNTS = env.integer("METRICS_ACCOUNTS", default=0, most=1000)
# Where traces go, as in http://collector:4318; without one nothing of OpenTelemetry is imported.
# Its SDK reads this and its other variables itself (docs/observability.md).
OTEL_EXPORTER_OTLP_ENDPOINT = env.one(
    "OTEL_EXPORTER_OTLP_ENDPOINT", values.collector_url, default=""
)
# Whether traces hold what people, models and tools write.
TRACE_CONTENT = env.boolean("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", default=False)
LOGGING = logging_config(LOG_LEVEL, LOG_FORMAT)

env.finish()
ENVIRONMENT_WARNINGS = env.warnings()
