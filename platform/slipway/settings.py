"""Settings: everything that differs between installations comes from the environment.

With nothing set, all runs embedded below SLIPWAY_HOME: SQLite, a folder of objects, a folder as
broker, MLflow on SQLite, Ray on this machine. The same names with URLs put it on PostgreSQL,
Redis, an S3 endpoint and an MLflow server.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HOME = Path(os.environ.get("SLIPWAY_HOME", ".slipway")).resolve()
RUN_DIR = Path(os.environ.get("SLIPWAY_RUN_DIR", HOME / "run"))
PORT = int(os.environ.get("PORT", "8000"))
PUBLIC_URL = os.environ.get("SLIPWAY_PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")

#: Where the worker reaches the gateway, to ask what batches ask.
GATEWAY_URL = os.environ.get("SLIPWAY_GATEWAY_URL", f"http://127.0.0.1:{PORT}").rstrip("/")


def _secret_key() -> str:
    """From the environment, or made once and kept beside the data (mode 600)."""
    if given := os.environ.get("SLIPWAY_SECRET_KEY"):
        return given
    path = HOME / "secret-key"
    if not path.exists():
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        # Of two processes that start at once one names the key; it is never seen half-written.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    key = path.read_text().strip()
    if not key:
        raise ValueError(f"{path} is empty; restore it, or remove it to make a new key")
    return key


#: What libpq lets one ask of the connection's TLS; without, it takes what the server offers.
_DATABASE_OPTIONS = {"sslmode", "sslrootcert", "sslcert", "sslkey"}


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            # Literally: a home may hold `#`, `?` or `%`.
            "NAME": url.removeprefix("sqlite://"),
            "OPTIONS": {
                "timeout": 30,
                # A reader that turns writer half-way cannot wait for its lock; take it at BEGIN.
                "transaction_mode": "IMMEDIATE",
                "init_command": (
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                ),
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := asked.keys() - _DATABASE_OPTIONS:
            raise ValueError(
                f"SLIPWAY_DATABASE_URL has ?{', '.join(sorted(unknown))}, which is not known here; "
                f"known are {', '.join(sorted(_DATABASE_OPTIONS))}"
            )
        return {
            "ENGINE": "slipway.core.postgres",
            "NAME": parts.path.lstrip("/"),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            # Each request has a thread of its own in the web process: a connection that stays with
            # its thread is used by nobody again, and soon the server has none left to give. The
            # engine keeps a few for others instead.
            "CONN_MAX_AGE": 0,
            "OPTIONS": {"connect_timeout": 5} | asked,
        }
    raise ValueError(
        f"SLIPWAY_DATABASE_URL starts with {parts.scheme!r}; use sqlite:///path or postgres://…"
    )


SECRET_KEY = _secret_key()
DEBUG = False
ALLOWED_HOSTS = os.environ.get("SLIPWAY_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "slipway.core",
    "slipway.editions",
    "slipway.tenancy",
    "slipway.audit",
    "slipway.metering",
    "slipway.limits",
    "slipway.plans",
    "slipway.quotas",
    "slipway.capacity",
    "slipway.datasets",
    "slipway.registry",
    "slipway.training",
    "slipway.evaluation",
    "slipway.deployments",
    "slipway.traffic",
    "slipway.door",
    "slipway.notices",
    "slipway.signup",
    "slipway.leaving",
]
MIDDLEWARE = [
    "slipway.core.http.RequestIds",
    "slipway.core.tenants.Net",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "slipway.editions.middleware.ReadOnly",
    "slipway.audit.middleware.Recorder",
]
ROOT_URLCONF = "slipway.urls"
ASGI_APPLICATION = "slipway.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
WHITENOISE_USE_FINDERS = True
STATIC_URL = "/static/"
#: The built console: index.html and assets/.
CONSOLE_DIR = Path(
    os.environ.get("SLIPWAY_CONSOLE_DIR", Path(__file__).parents[2] / "frontend" / "dist")
)

DATABASES = {
    "default": _database(
        os.environ.get("SLIPWAY_DATABASE_URL", f"sqlite://{HOME / 'slipway.sqlite3'}")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenancy.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 8},
    },
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "slipway.tenancy.services.passwords.NoWordsOfThePlace"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
#: Seconds without a request after which a session is over before its age.
SESSION_IDLE = 2 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
if PUBLIC_URL.startswith("https://"):
    # Bound to this host and to TLS by the name itself.
    SESSION_COOKIE_NAME, SESSION_COOKIE_SECURE = "__Host-session", True
    CSRF_COOKIE_NAME, CSRF_COOKIE_SECURE = "__Host-csrf", True
    CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
# Bodies of this API are JSON documents; bytes travel by signed address.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
USE_TZ = True
TIME_ZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "slipway.tenancy.authentication.KeyAuthentication",
        "slipway.tenancy.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["slipway.tenancy.permissions.MayChange"],
    "DEFAULT_RENDERER_CLASSES": ["slipway.core.rendering.Json"],
    "DEFAULT_PARSER_CLASSES": ["slipway.core.parsing.Json"],
    "DEFAULT_PAGINATION_CLASS": "slipway.core.http.Keyset",
    "DEFAULT_SCHEMA_CLASS": "slipway.core.schema.Schema",
    "EXCEPTION_HANDLER": "slipway.core.http.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Slipway",
    "DESCRIPTION": "Train, host and manage large language models.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "slipway.core.schema.answers_are_whole",
    ],
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "DatasetVersionPhase": "slipway.datasets.models.Phase",
        "DatasetErrandPhase": "slipway.datasets.models.ErrandPhase",
        "RunPhase": "slipway.runs.record.Phase",
        "DeploymentPhase": "slipway.deployments.models.Phase",
        "RevisionPhase": "slipway.deployments.models.RevisionPhase",
        "ModelVersionPhase": "slipway.registry.models.VersionPhase",
        "ModelExportPhase": "slipway.registry.models.ExportPhase",
        "ModelKind": "slipway.registry.models.Kind",
        "LicenceState": "slipway.editions.api.STATES",
        "QuotaRequestState": "slipway.quotas.models.State",
        "BoundKind": "slipway.quotas.api.BOUND_KINDS",
        "QuotaRequestKind": "slipway.quotas.models.Request.Kind",
        "SubscriptionPhase": "slipway.plans.models.Phase",
        "NoticeKind": "slipway.notices.models.Target.Kind",
        "NoticePhase": "slipway.notices.models.Phase",
        "Happening": "slipway.notices.models.Happening",
        "IdentityProviderKind": "slipway.tenancy.models.ProviderKind",
        "SecondFactorKind": "slipway.tenancy.models.FactorKind",
    },
}

OBJECTS_URL = os.environ.get("SLIPWAY_OBJECTS_URL", f"file://{HOME / 'objects'}")
OBJECTS = {
    "file": "slipway.backends.objects.folder.Folder",
    "s3": "slipway.backends.objects.s3.S3",
}[urlsplit(OBJECTS_URL).scheme]

COMPUTE = {
    "local": "slipway.backends.compute.local.Local",
    "kubernetes": "slipway.backends.compute.kubernetes.Kubernetes",
}[os.environ.get("SLIPWAY_COMPUTE", "local")]
NODE_SOCKET = RUN_DIR / "node.sock"
#: Where workloads live on Kubernetes; empty: the namespace of the pod itself.
KUBERNETES_NAMESPACE = os.environ.get("SLIPWAY_NAMESPACE", "")
#: Who is told how much each project may take; empty: nobody.
QUEUES = {"": "", "kueue": "slipway.backends.queues.kueue.Kueue"}[
    os.environ.get("SLIPWAY_QUEUES", "")
]
#: The ClusterRole that owns the queues, so that they go with it.
QUEUES_OWNER = os.environ.get("SLIPWAY_QUEUES_OWNER", "")
#: The accelerator's name among a node's resources.
GPU_RESOURCE = os.environ.get("SLIPWAY_GPU_RESOURCE", "nvidia.com/gpu")

MLFLOW_URI = os.environ.get("SLIPWAY_MLFLOW_URI", f"sqlite:///{HOME / 'mlflow.sqlite3'}")
TRACKING = "slipway.backends.tracking.mlflow.MLflow"

BROKER_URL = os.environ.get("SLIPWAY_BROKER_URL", "folder://localhost/")
BROKER_DIR = RUN_DIR / "broker"
USAGE_SPOOL = HOME / "spool"
#: Completions that were asked to be stored, on their way to the database; the gateway puts them
#: beside the usage.
COMPLETIONS_SPOOL = USAGE_SPOOL.with_name(f"{USAGE_SPOOL.name}-completions")

#: `cloud` or `private`; what they differ in is in slipway/editions/rules/policy.py.
EDITION = os.environ.get("SLIPWAY_EDITION", "cloud")
#: Who the first administrator is: `owner`, made at the first start, or whoever goes through the
#: `wizard` with the code that stands on the machine, as on an appliance.
FIRST_BOOT = {"owner": "owner", "wizard": "wizard"}[os.environ.get("SLIPWAY_FIRST_BOOT", "owner")]
#: What an organisation that signed up gets to try; without one, nobody signs up.
TRIAL_CREDIT = Decimal(_trial) if (_trial := os.environ.get("SLIPWAY_TRIAL_CREDIT")) else None
#: The mail server: smtp://user:password@host:587 speaks TLS after STARTTLS, smtps:// at once;
#: `?tls=0` for one on this machine that speaks none. No mail is sent without one.
_smtp = urlsplit(os.environ.get("SLIPWAY_SMTP_URL", ""))
EMAIL_HOST = _smtp.hostname or ""
EMAIL_PORT = _smtp.port or {"smtps": 465}.get(_smtp.scheme, 587)
EMAIL_HOST_USER = unquote(_smtp.username or "")
EMAIL_HOST_PASSWORD = unquote(_smtp.password or "")
EMAIL_USE_SSL = _smtp.scheme == "smtps"
EMAIL_USE_TLS = not EMAIL_USE_SSL and "tls=0" not in _smtp.query
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("SLIPWAY_MAIL_FROM", "slipway@localhost")

#: Raw Ed25519 key that licences are checked against, in hex.
LICENCE_PUBLIC_KEY = bytes.fromhex(os.environ.get("SLIPWAY_LICENCE_PUBLIC_KEY", ""))

#: Ed25519 key that signs the audit log (made once, mode 600); keep it on another disk if you can.
AUDIT_KEY = Path(os.environ.get("SLIPWAY_AUDIT_KEY", HOME / "audit-key"))

#: Keys that stored secrets are sealed under (made once, mode 600); back it up apart from the rest.
SEAL_KEY = Path(os.environ.get("SLIPWAY_SEAL_KEY", HOME / "seal-key"))
#: Networks where external models may be beside the Internet, such as 10.1.0.0/16.
EXTERNAL_NETWORKS = [
    ip_network(n) for n in os.environ.get("SLIPWAY_EXTERNAL_NETWORKS", "").split(",") if n
]
#: Asked for the records that prove mail domains, as address or address:port; else the system's.
DNS_SERVERS = [
    (host, int(port or 53)) if dot and ":" not in host else (each, 53)
    for each in os.environ.get("SLIPWAY_DNS_SERVERS", "").split(",")
    if each
    for host, dot, port in [each.rpartition(":")]
]
#: PEM file of authorities that external models may be certified by beside the public ones.
EXTERNAL_CA = os.environ.get("SLIPWAY_EXTERNAL_CA", "")

#: What training on a million tokens costs, and the currency that prices are shown in.
#: What was put into the bin can be brought back for so long.
BIN_DAYS = int(os.environ.get("SLIPWAY_BIN_DAYS", "7"))
#: An organisation that is to go can be taken back for so long.
ORGANISATION_BIN_DAYS = int(os.environ.get("SLIPWAY_ORGANISATION_BIN_DAYS", "30"))
#: Ledger and prices of an organisation that has gone are kept for so long.
BOOKS_YEARS = int(os.environ.get("SLIPWAY_BOOKS_YEARS", "10"))
TRAIN_PRICE_PER_MILLION_TOKENS = Decimal(os.environ.get("SLIPWAY_TRAIN_PRICE", "0"))
CURRENCY = os.environ.get("SLIPWAY_CURRENCY", "CNY")

#: Who may read /metrics; without one, only programs on this machine.
METRICS_TOKEN = os.environ.get("SLIPWAY_METRICS_TOKEN", "")

#: Hosts that a dataset may be fetched from by URL; none unless named.
IMPORT_HOSTS = [h for h in os.environ.get("SLIPWAY_IMPORT_HOSTS", "").split(",") if h]
#: Directories on this machine that a dataset or model may be imported from by path.
IMPORT_PATHS = [
    Path(p).resolve() for p in os.environ.get("SLIPWAY_IMPORT_PATHS", "").split(":") if p
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "slipway.core.logs.Line",
            "format": "%(asctime)s %(levelname)s %(request)s %(name)s: %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # One line a request of ours to others says nothing that their answers do not.
    "loggers": {"httpx": {"level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("SLIPWAY_LOG_LEVEL", "INFO")},
}
