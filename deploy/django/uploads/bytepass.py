"""Calls to Bytepass: tokens for users, and attaching uploads to records."""

import json
import time
import urllib.error
import urllib.request
from urllib.parse import quote

import jwt
from django.conf import settings

TIMEOUT_SECS = 5


class Refused(Exception):
    """Bytepass refuses: another record has this upload, or it does not exist any more."""


class Unavailable(Exception):
    """Bytepass gave no clear answer: try again."""


def token(subject, scope, lifetime_secs, fields):
    """A token that identifies the caller to Bytepass, for these fields only."""
    now = int(time.time())
    claims = {
        "iss": settings.BYTEPASS_TOKEN_ISSUER,
        "aud": settings.BYTEPASS_TOKEN_AUDIENCE,
        "sub": subject,
        "scope": scope,
        "fields": fields,
        "iat": now,
        "exp": now + lifetime_secs,
    }
    return jwt.encode(claims, settings.BYTEPASS_TOKEN_SECRET, algorithm="HS256")


def attach(upload_id, field, object_id):
    """Attaches the upload to the record: its owner can't delete it any more, and Bytepass removes the file that it replaces. Idempotent."""
    bearer = token("backend", "attachments:write", 60, [field])
    request = urllib.request.Request(
        f"{settings.BYTEPASS_URL}/v1/uploads/{quote(upload_id, safe='')}/attach",
        json.dumps({"object_id": object_id}).encode(),
        {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_SECS).close()
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (404, 409):
                raise Refused(f"Bytepass answered {error.code}: {error.read(2000)!r}") from error
            raise Unavailable(f"Bytepass answered {error.code}") from error
    except OSError as error:
        raise Unavailable(str(error)) from error
