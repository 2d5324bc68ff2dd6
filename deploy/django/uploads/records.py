"""Attaches a confirmed upload to its record: the one place where a column changes."""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from . import bytepass
from .fields import FIELDS
from .models import RecordedUpload


class Refused(Exception):
    """The upload is not for such a record, or its owner may not change it."""


@transaction.atomic
def attach_to_record(*, upload_id, field, object_id, owner, bucket, name):
    """Attaches the upload and saves its name in the record, unless that is done already or a newer upload came first.

    The record stays locked during the call to Bytepass, so that the column and Bytepass agree on which of two uploads for one
    record came last. After a failure halfway, the webhook is sent again and completes the work.
    """
    upload_field = FIELDS.get(field)
    if upload_field is None or not object_id or bucket != settings.STORAGES["default"]["OPTIONS"]["bucket_name"]:
        raise Refused("no such field, no record, or another bucket")
    record = find(upload_field.record_model.objects.select_for_update(), object_id)
    user = find(get_user_model().objects.filter(is_active=True), owner.removeprefix(settings.BYTEPASS_OWNER_PREFIX))
    # The client chose the object_id at create: it proves nothing until the owner's permission is checked.
    if owner != f"{settings.BYTEPASS_OWNER_PREFIX}{user.pk}" or not upload_field.may_change(record, user):
        raise Refused("the upload's owner may not change this record")
    _, is_new = RecordedUpload.objects.get_or_create(upload_id=upload_id, defaults={"field": field, "object_id": object_id})
    of_record = RecordedUpload.objects.filter(field=field, object_id=object_id)
    is_late = not upload_field.parent and of_record.filter(upload_id__gt=upload_id).exists()
    if not is_new or is_late:
        return
    try:
        bytepass.attach(upload_id, field, object_id)
    except bytepass.Refused as error:
        raise Refused(str(error)) from error
    upload_field.save(record, name)


def find(rows, key):
    """The row with this primary key, in the exact form that Django writes: `042` is not 42."""
    try:
        row = rows.get(pk=key)
    except (rows.model.DoesNotExist, ValueError) as error:
        raise Refused(f"no such {rows.model._meta.verbose_name}") from error
    if str(row.pk) != key:
        raise Refused(f"no such {rows.model._meta.verbose_name}")
    return row
