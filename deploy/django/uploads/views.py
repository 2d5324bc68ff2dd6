"""Three views: a token for the page, the page's receipt, and Bytepass's webhooks."""

import json
import logging
from functools import cache

import jwt
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from . import bytepass
from .fields import FIELDS
from .models import WebhookMessage
from .records import Refused, attach_to_record
from .verify_receipt import InvalidReceipt, ReceiptVerifier

log = logging.getLogger(__name__)
TOKEN_LIFETIME_SECS = 900


@cache
def verifier():
    return ReceiptVerifier(
        f"{settings.BYTEPASS_URL}/.well-known/jwks.json", settings.BYTEPASS_RECEIPT_ISSUER, settings.BYTEPASS_RECEIPT_AUDIENCE
    )


def problem(status, detail, **headers):
    body = {"status": status, "detail": detail}
    return JsonResponse(body, status=status, content_type="application/problem+json", headers=headers)


def try_again(error):
    log.warning("Bytepass is not available: %s", error)
    return problem(503, "the upload can't be checked now; try again", **{"Retry-After": "5"})


@require_POST
def token(request, field):
    """A token with which a logged-in user's page may upload for this field, and nothing else."""
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    if field not in FIELDS:
        return problem(404, "no such field")
    signed = bytepass.token(str(request.user.pk), "uploads:write", TOKEN_LIFETIME_SECS, [field])
    return JsonResponse({"bytepass": settings.BYTEPASS_URL, "token": signed}, headers={"Cache-Control": "no-store"})


@require_POST
def receipt(request, field, object_id):
    """Takes `{"receipt": "…"}`, as confirm returned it, and attaches the upload to the record."""
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    try:
        presented = json.loads(request.body)["receipt"]
        owner = f"{settings.BYTEPASS_OWNER_PREFIX}{request.user.pk}"
        claims = verifier().verify(presented, field=field, owner=owner, object_id=object_id)
    except (ValueError, KeyError, TypeError):
        return problem(400, 'the body must be {"receipt": "…"}')
    except InvalidReceipt as error:
        return problem(422, str(error))
    except jwt.PyJWKClientConnectionError as error:
        return try_again(error)
    try:
        attach_to_record(
            upload_id=claims["jti"], field=field, object_id=object_id, owner=owner, bucket=claims["bucket"],
            name=claims["name"],
        )
    except Refused as error:
        log.info("upload %s refused: %s", claims["jti"], error)
        return problem(403, "this upload can't be attached to this record")
    except bytepass.Unavailable as error:
        return try_again(error)
    return JsonResponse({"name": claims["name"]})


@csrf_exempt
@require_POST
def webhook(request):
    """Handles Bytepass's webhooks. They also cover pages that were closed before they sent their receipt."""
    try:
        # The signature covers the received bytes, not the parsed JSON.
        event = Webhook(settings.BYTEPASS_WEBHOOK_SECRET).verify(request.body, dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        log.warning("webhook refused: %s", error)
        return problem(401, "the signature is invalid or too old")
    try:
        # One transaction with the message's row: after any answer but 2xx, Bytepass sends the message again.
        with transaction.atomic():
            _, is_new = WebhookMessage.objects.get_or_create(id=request.headers["webhook-id"])
            if is_new:
                act_on(event["type"], event["data"])
    except bytepass.Unavailable as error:
        return try_again(error)
    return HttpResponse(status=204)


def act_on(event_type, upload):
    if event_type == "upload.detached" and upload["field"] in FIELDS:
        FIELDS[upload["field"]].clear(upload["name"])
    if event_type != "upload.confirmed":
        return
    try:
        attach_to_record(
            upload_id=upload["id"], field=upload["field"], object_id=upload["object_id"], owner=upload["owner"],
            bucket=upload["bucket"], name=upload["name"],
        )
    except Refused as error:
        # A retry would end in the same way, so the message is acknowledged.
        log.warning("upload %s not attached: %s", upload["id"], error)
