"""Ties a confirmed upload to the record that it is for: the one place where a column changes."""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from . import bytepass
from .fields import FIELDS
from .models import TakenUpload


class Refused(Exception):
    """This upload is not for such a record, or its owner may not change it."""


@transaction.atomic
def take(*, upload_id, field, object_id, owner, bucket, name):
    """Attaches the upload and saves its name in the record, unless that was done already or a newer upload came first.

    The record stays locked meanwhile, also while Bytepass is asked: so the column and Bytepass agree on which of two uploads
    for one record came last. Whatever goes wrong halfway, the webhook comes again and does the rest.
    """
    upload_field = FIELDS.get(field)
    if upload_field is None or not object_id or bucket != settings.STORAGES["default"]["OPTIONS"]["bucket_name"]:
        raise Refused("no such field, no record, or another bucket")
    record = find(upload_field.record_model.objects.select_for_update(), object_id)
    user = find(get_user_model().objects.filter(is_active=True), owner.removeprefix(settings.BYTEPASS_OWNER_PREFIX))
    # Whoever asks for an upload says which record it is for: anybody could have written 42 there.
    if owner != f"{settings.BYTEPASS_OWNER_PREFIX}{user.pk}" or not upload_field.may_change(record, user):
        raise Refused("the upload's owner may not change this record")
    _, is_new = TakenUpload.objects.get_or_create(upload_id=upload_id, defaults={"field": field, "object_id": object_id})
    of_record = TakenUpload.objects.filter(field=field, object_id=object_id)
    is_late = not upload_field.parent and of_record.filter(upload_id__gt=upload_id).exists()
    if not is_new or is_late:
        return
    try:
        bytepass.attach(upload_id, field, object_id)
    except bytepass.Refused as error:
        raise Refused(str(error)) from error
    upload_field.save(record, name)


def find(rows, key):
    """The row with this primary key, written exactly as Django writes it: not `042` for 42."""
    try:
        row = rows.get(pk=key)
    except (rows.model.DoesNotExist, ValueError) as error:
        raise Refused(f"no such {rows.model._meta.verbose_name}") from error
    if str(row.pk) != key:
        raise Refused(f"no such {rows.model._meta.verbose_name}")
    return row
