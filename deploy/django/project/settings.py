"""Everything that differs between machines, and every secret, comes from the environment. README.md lists the variables."""

import os
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent


def names(variable):
    return [name for name in os.environ.get(variable, "").split(",") if name]


SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = names("DJANGO_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = names("DJANGO_CSRF_TRUSTED_ORIGINS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "shop", "uploads"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{BASE_DIR}/shop.sqlite3?transaction_mode=IMMEDIATE", conn_max_age=60)}
# Bytepass's database, for reading `upload_v1`, with a role that may do nothing else.
if "BYTEPASS_DATABASE_URL" in os.environ:
    DATABASES["bytepass"] = dj_database_url.config(env="BYTEPASS_DATABASE_URL")

# --- the bucket, the one that Bytepass writes to ---

# Keys come from boto3's own chain: a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
BUCKET = {
    "bucket_name": os.environ["MEDIA_BUCKET"],
    # Bytepass's `storage.location`. A column holds a name without it: products/x.jpg is the object media/products/x.jpg.
    "location": "media",
    "region_name": os.environ.get("MEDIA_REGION", "us-east-1"),
    # For an S3 other than AWS.
    "endpoint_url": os.environ.get("MEDIA_ENDPOINT"),
    "addressing_style": "path" if "MEDIA_ENDPOINT" in os.environ else "virtual",
    "signature_version": "s3v4",
    # Django saves under a free name, so that it never overwrites an object that Bytepass sealed.
    "file_overwrite": False,
    "default_acl": None,
}
STORAGES = {
    # Readable by everyone: deploy/bucket/policy-public-fields.json.
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {**BUCKET, "querystring_auth": False, "custom_domain": os.environ.get("MEDIA_DOMAIN")},
    },
    # Readable through URLs that are valid for five minutes.
    "private": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {**BUCKET, "querystring_auth": True, "querystring_expire": 300},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- Bytepass ---

BYTEPASS_URL = os.environ["BYTEPASS_URL"].rstrip("/")
# `receipts.issuer` and `receipts.audience` of Bytepass's configuration.
BYTEPASS_RECEIPT_ISSUER = os.environ.get("BYTEPASS_RECEIPT_ISSUER", BYTEPASS_URL)
BYTEPASS_RECEIPT_AUDIENCE = os.environ.get("BYTEPASS_RECEIPT_AUDIENCE", "bytepass-receipts")
# This shop as an issuer of tokens: signed here with a secret that Bytepass knows.
BYTEPASS_TOKEN_ISSUER = os.environ.get("BYTEPASS_TOKEN_ISSUER", "shop")
BYTEPASS_TOKEN_AUDIENCE = os.environ.get("BYTEPASS_TOKEN_AUDIENCE", "bytepass")
BYTEPASS_TOKEN_SECRET = os.environ["BYTEPASS_TOKEN_SECRET"]
# That issuer's `owner_prefix`.
BYTEPASS_OWNER_PREFIX = "user:"
# A secret of this shop's webhook endpoint, whsec_….
BYTEPASS_WEBHOOK_SECRET = os.environ["BYTEPASS_WEBHOOK_SECRET"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": os.environ.get("DJANGO_LOG_LEVEL", "INFO")},
}
