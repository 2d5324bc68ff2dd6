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
from .taking import Refused, take
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
    log.warning("Bytepass can't be asked: %s", error)
    return problem(503, "this can't be checked now; try again", **{"Retry-After": "5"})


@require_POST
def token(request, field):
    """A token with which the page of a logged-in user may upload for this field, and do nothing else."""
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    if field not in FIELDS:
        return problem(404, "no such field")
    signed = bytepass.token(str(request.user.pk), "uploads:write", TOKEN_LIFETIME_SECS, [field])
    return JsonResponse({"bytepass": settings.BYTEPASS_URL, "token": signed}, headers={"Cache-Control": "no-store"})


@require_POST
def receipt(request, field, object_id):
    """`{"receipt": "…"}`, as confirm answered it: the record takes the upload."""
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    try:
        presented = json.loads(request.body)["receipt"]
        owner = f"{settings.BYTEPASS_OWNER_PREFIX}{request.user.pk}"
        claims = verifier().verify(presented, field=field, owner=owner, object_id=object_id)
    except (ValueError, KeyError, TypeError):
        return problem(400, 'a body like {"receipt": "…"} is needed')
    except InvalidReceipt as error:
        return problem(422, str(error))
    except jwt.PyJWKClientConnectionError as error:
        return try_again(error)
    try:
        take(
            upload_id=claims["jti"], field=field, object_id=object_id, owner=owner, bucket=claims["bucket"],
            name=claims["name"],
        )
    except Refused as error:
        log.info("upload %s refused: %s", claims["jti"], error)
        return problem(403, "this upload can't be taken")
    except bytepass.Unavailable as error:
        return try_again(error)
    return JsonResponse({"name": claims["name"]})


@csrf_exempt
@require_POST
def webhook(request):
    """What became of an upload, from Bytepass itself: also for the pages that were closed before they sent their receipt."""
    try:
        # The bytes as they came: a signature is of these, not of what JSON says.
        event = Webhook(settings.BYTEPASS_WEBHOOK_SECRET).verify(request.body, dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        log.warning("webhook refused: %s", error)
        return problem(401, "this is not signed by Bytepass, or too old")
    try:
        # All of it or nothing, the message's row too: after anything but a 2xx, Bytepass sends the message again.
        with transaction.atomic():
            _, is_new = WebhookMessage.objects.get_or_create(id=request.headers["webhook-id"])
            if is_new:
                act_on(event["type"], event["data"])
    except bytepass.Unavailable as error:
        return try_again(error)
    return HttpResponse(status=204)


def act_on(event_type, upload):
    if event_type == "upload.detached" and upload["field"] in FIELDS:
        FIELDS[upload["field"]].forget(upload["name"])
    if event_type != "upload.confirmed":
        return
    try:
        take(
            upload_id=upload["id"], field=upload["field"], object_id=upload["object_id"], owner=upload["owner"],
            bucket=upload["bucket"], name=upload["name"],
        )
    except Refused as error:
        # Another attempt would end in the same way, so the answer is a success all the same.
        log.warning("upload %s not taken: %s", upload["id"], error)
