"""Bytepass's view of its uploads, and what this shop has already handled."""

from django.db import models


class Upload(models.Model):
    """Bytepass's view `upload_v1`, the same on Postgres and SQLite. Query it with `Upload.objects.using("bytepass")`."""

    id = models.CharField(primary_key=True, max_length=30)
    # pending, confirmed, attached, detached, deleted, rejected, expired, canceled
    status = models.CharField(max_length=16)
    field = models.CharField(max_length=200)
    owner = models.CharField(max_length=300)
    object_id = models.CharField(max_length=255, null=True)
    bucket = models.CharField(max_length=63)
    key = models.CharField(max_length=200, null=True)
    # What an ImageField's column holds; null until the upload is confirmed.
    name = models.CharField(max_length=100, null=True)
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    checksum_algorithm = models.CharField(max_length=16, null=True)
    checksum_value = models.CharField(max_length=100, null=True)
    etag = models.CharField(max_length=200, null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    # client, service, event, sweeper
    confirmed_by = models.CharField(max_length=16, null=True)
    attached_at = models.DateTimeField(null=True)
    detached_at = models.DateTimeField(null=True)
    object_removed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "upload_v1"


class RecordedUpload(models.Model):
    """An upload that was attached to a record, through its receipt or a webhook, whichever came first."""

    # Sorts by the uploads' creation time.
    upload_id = models.CharField(primary_key=True, max_length=30)
    field = models.CharField(max_length=200)
    object_id = models.CharField(max_length=255)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["field", "object_id", "upload_id"], name="recorded_upload_record")]


class WebhookMessage(models.Model):
    """A webhook that was handled. Rows older than a week can be deleted: no message is repeated that late."""

    # The `webhook-id`, the same for every attempt to deliver one event.
    id = models.CharField(primary_key=True, max_length=64)
    received_at = models.DateTimeField(auto_now_add=True, db_index=True)
