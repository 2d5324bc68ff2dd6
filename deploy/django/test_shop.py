"""Runs the sample against a running Bytepass and a real S3 bucket; tests/run starts all three.

Needs every variable that README.md lists. Bytepass sends webhooks to SHOP_PORT. The databases are temporary.
"""

import base64
import hashlib
import io
import json
import os
import secrets
import threading
import time
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timezone
from socketserver import ThreadingMixIn
from unittest.mock import patch
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Permission, User  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from PIL import Image  # noqa: E402
from standardwebhooks import Webhook  # noqa: E402

from shop.models import Deposit, Order, Product  # noqa: E402
from uploads import bytepass, views  # noqa: E402
from uploads.models import RecordedUpload, Upload, WebhookMessage  # noqa: E402

# How long a webhook may take, in seconds.
WEBHOOK_LIMIT_SECS = 30


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def setUpModule():
    setup_test_environment()
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", int(os.environ["SHOP_PORT"]), get_wsgi_application(), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    unittest.addModuleCleanup(server.server_close)
    unittest.addModuleCleanup(server.shutdown)


def picture():
    """A PNG with random pixels."""
    file = io.BytesIO()
    Image.frombytes("RGB", (8, 8), secrets.token_bytes(192)).save(file, "PNG")
    return file.getvalue()


def http(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.staff = self.user()
        self.staff.user_permissions.add(Permission.objects.get(codename="change_product"))
        self.customer = self.user()

    def user(self):
        return User.objects.create_user(secrets.token_hex(8))

    def browser(self, user):
        client = Client()
        client.force_login(user)
        return client

    def call(self, user, field, path, body, status):
        """A request of this user's page to Bytepass, with a token of the shop."""
        given = self.browser(user).post(f"/uploads/{field}/token").json()
        headers = {"Authorization": f"Bearer {given['token']}", "Content-Type": "application/json"}
        answer = http("POST", given["bytepass"] + path, json.dumps(body).encode(), headers)
        self.assertEqual(answer[0], status, answer[1])
        return json.loads(answer[1])

    def create(self, user, field, object_id, data):
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        body = {
            "field": field, "object_id": str(object_id), "filename": "cat.png", "content_type": "image/png", "size": len(data),
            "checksum": {"algorithm": "sha256", "value": digest},
        }
        upload = self.call(user, field, "/v1/uploads", body, 201)
        put = upload["presigned"]
        self.assertEqual(http(put["method"], put["url"], data, put["headers"])[0], 200)
        return upload

    def confirm(self, user, upload):
        return self.call(user, upload["field"], f"/v1/uploads/{upload['id']}/confirm", {}, 200)

    def upload(self, user, field, object_id, data):
        return self.confirm(user, self.create(user, field, object_id, data))

    def send_receipt(self, user, upload, field=None, object_id=None, receipt=None):
        path = f"/uploads/{field or upload['field']}/{object_id or upload['object_id']}/receipt"
        body = {"receipt": receipt or upload["receipt"]}
        return self.browser(user).post(path, body, content_type="application/json")

    def wait_until(self, what, condition):
        end = time.monotonic() + WEBHOOK_LIMIT_SECS
        while not condition():
            self.assertLess(time.monotonic(), end, f"still waiting until {what}")
            time.sleep(0.05)

    def product(self, **values):
        return Product.objects.create(title="A thing", **values)


class UploadsThroughBytepass(Case):
    def test_receipt_sets_product_image_and_keeps_older_rows(self):
        old, old_bytes = self.product(), picture()
        old.image.save("old cat.png", ContentFile(old_bytes))
        before, product, data = Product.objects.filter(pk=old.pk).values().get(), self.product(), picture()

        upload = self.upload(self.staff, "Product.image", product.pk, data)
        self.assertEqual(self.send_receipt(self.staff, upload).status_code, 200)

        product.refresh_from_db()
        self.assertEqual(product.image.name, upload["name"])
        self.assertTrue(product.image.name.startswith("products/"))
        self.assertEqual(upload["key"], "media/" + product.image.name)
        self.assertEqual(http("GET", product.image.url), (200, data))
        with product.image.open() as file:
            self.assertEqual(file.read(), data)
        self.assertEqual((product.image.size, product.image.width), (len(data), 8))
        # Attached: Bytepass keeps the object as long as the product has it.
        self.assertEqual(Upload.objects.using("bytepass").get(id=upload["id"]).status, "attached")

        # The row from before Bytepass has the same values, and its file is in the same place.
        self.assertEqual(Product.objects.filter(pk=old.pk).values().get(), before)
        self.assertEqual(http("GET", Product.objects.get(pk=old.pk).image.url), (200, old_bytes))
        with Product.objects.get(pk=old.pk).image.open() as file:
            self.assertEqual(file.read(), old_bytes)

    def test_upload_replaces_older_image_and_older_upload(self):
        product = self.product()
        product.image.save("old.png", ContentFile(picture()))
        uploads = []
        for data in [picture(), picture()]:
            uploads.append(self.upload(self.staff, "Product.image", product.pk, data))
            self.assertEqual(self.send_receipt(self.staff, uploads[-1]).status_code, 200)
            self.assertEqual(http("GET", Product.objects.get(pk=product.pk).image.url), (200, data))
        statuses = [Upload.objects.using("bytepass").get(id=upload["id"]).status for upload in uploads]
        self.assertEqual(statuses, ["detached", "attached"])

    def test_receipt_sent_twice_adds_one_of_many_images(self):
        product, files = self.product(), [picture(), picture()]
        uploads = [self.upload(self.staff, "ProductImage.image", product.pk, data) for data in files]
        for upload in [*uploads, uploads[0]]:
            self.assertEqual(self.send_receipt(self.staff, upload).status_code, 200)
        images = product.images.all()
        self.assertEqual({image.image.name for image in images}, {upload["name"] for upload in uploads})
        self.assertEqual({http("GET", image.image.url)[1] for image in images}, set(files))

    def test_webhook_attaches_when_page_was_closed(self):
        for model, field, values in [(Deposit, "deposit_proof", {"amount": "9.99"}), (Order, "txid_proof", {})]:
            record, data = model.objects.create(user=self.customer, **values), picture()
            upload = self.upload(self.customer, f"{model.__name__}.{field}", record.pk, data)
            self.wait_until("the webhook has come", lambda: RecordedUpload.objects.filter(upload_id=upload["id"]).exists())
            proof = getattr(model.objects.get(pk=record.pk), field)
            self.assertEqual(proof.name, upload["name"])
            self.assertEqual(http("GET", proof.url), (200, data))
            # Private: only with the signature.
            self.assertEqual(http("GET", proof.url.split("?")[0])[0], 403)

    def test_newer_of_two_uploads_stays_in_any_order(self):
        product = self.product()
        older, newer = [self.create(self.staff, "Product.image", product.pk, picture()) for _ in range(2)]
        for upload in [newer, older]:
            confirmed = self.confirm(self.staff, upload)
            self.assertEqual(self.send_receipt(self.staff, confirmed).status_code, 200)
            newer_name = confirmed["name"] if upload is newer else newer_name
        self.assertEqual(Product.objects.get(pk=product.pk).image.name, newer_name)

    def test_foreign_record_is_refused_by_receipt_and_webhook(self):
        deposit = Deposit.objects.create(user=self.customer, amount=1)
        thief, data = self.user(), picture()
        stolen = self.upload(thief, "Deposit.deposit_proof", deposit.pk, data)
        self.assertEqual(self.send_receipt(thief, stolen).status_code, 403)
        row = Upload.objects.using("bytepass").get(id=stolen["id"])
        messages = WebhookMessage.objects.count()
        # Two valid uploads of the customer: when their webhooks have arrived, the thief's was handled before.
        for _ in range(2):
            own = self.upload(self.customer, "Deposit.deposit_proof", deposit.pk, picture())
        self.wait_until("the webhooks have come", lambda: WebhookMessage.objects.count() >= messages + 2)
        self.wait_until("the newest is taken", lambda: Deposit.objects.get(pk=deposit.pk).deposit_proof.name == own["name"])
        self.assertFalse(RecordedUpload.objects.filter(upload_id=row.id).exists())


class Receipts(Case):
    def test_receipt_of_other_field_record_or_owner_is_refused(self):
        product, other = self.product(), self.product()
        upload = self.upload(self.staff, "Product.image", product.pk, picture())
        colleague = self.user()
        colleague.user_permissions.add(Permission.objects.get(codename="change_product"))
        refused = [
            self.send_receipt(self.staff, upload, field="ProductImage.image"),
            self.send_receipt(self.staff, upload, object_id=other.pk),
            self.send_receipt(self.staff, upload, object_id=f"0{product.pk}"),
            self.send_receipt(colleague, upload),
        ]
        self.assertEqual([answer.status_code for answer in refused], [422] * 4)
        other.refresh_from_db()
        self.assertEqual((other.image.name, product.images.count()), ("", 0))
        anonymous = Client().post(f"/uploads/Product.image/{product.pk}/receipt", {}, content_type="application/json")
        self.assertEqual(anonymous.status_code, 401)

    def test_forged_or_changed_receipt_is_refused(self):
        product = self.product()
        upload = self.upload(self.staff, "Product.image", product.pk, picture())
        claims = jwt.decode(upload["receipt"], options={"verify_signature": False})
        head, payload, signature = upload["receipt"].split(".")
        token = self.browser(self.staff).post("/uploads/Product.image/token").json()["token"]
        kid = jwt.get_unverified_header(upload["receipt"])["kid"]
        key, header = Ed25519PrivateKey.generate(), {"typ": "receipt+jwt", "kid": kid}
        forged = jwt.encode(claims, key, algorithm="EdDSA", headers=header)
        cases = ["", "x", 1, None, ["x"], token, f"{head}.{payload}.{signature[::-1]}", f"{head}.{payload}.", forged]
        for case in cases:
            body = {} if case is None else {"receipt": case}
            path = f"/uploads/Product.image/{product.pk}/receipt"
            answer = self.browser(self.staff).post(path, body, content_type="application/json")
            self.assertIn(answer.status_code, [400, 422], case)

        # Signed with a trusted key, so that only the changed claim is wrong.
        class Trusting:
            def get_signing_key_from_jwt(self, _):
                return key.public_key()

        now = int(time.time())
        changes = [
            ({}, {}, 200), ({"exp": now - 60}, {}, 422), ({"aud": f"{claims['iss']}/grants"}, {}, 422), ({"iss": "x"}, {}, 422),
            ({}, {"typ": "grant+jwt"}, 422), ({}, {"typ": "JWT"}, 422), ({"bucket": "another"}, {}, 403), ({"name": None}, {}, 422),
        ]
        with patch.object(views.verifier(), "keys", Trusting()):
            for claim, changed, status in changes:
                changed_claims = {name: value for name, value in {**claims, **claim}.items() if value is not None}
                receipt = jwt.encode(changed_claims, key, algorithm="EdDSA", headers={**header, **changed})
                self.assertEqual(self.send_receipt(self.staff, upload, receipt=receipt).status_code, status, (claim, changed))


class Webhooks(Case):
    """Messages that the tests make themselves, about uploads that Bytepass does not have."""

    def setUp(self):
        super().setUp()
        attach = patch.object(bytepass, "attach")
        attach.start()
        self.addCleanup(attach.stop)

    def send(self, data, message_id=None, secret=None, sent_at=None, event="upload.confirmed"):
        body = json.dumps({"type": event, "timestamp": "2026-01-01T00:00:00Z", "data": data})
        message_id, at = message_id or f"evt_{secrets.token_hex(8)}", sent_at or datetime.now(timezone.utc)
        headers = {
            "webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or settings.BYTEPASS_WEBHOOK_SECRET).sign(message_id, at, body),
        }
        return Client().post("/uploads/webhook", body, content_type="application/json", headers=headers).status_code

    def data(self, **changes):
        return {
            "id": f"upl_{secrets.token_hex(13)}", "field": "Product.image", "object_id": str(self.product().pk), "name": "products/a.png",
            "owner": f"user:{self.staff.pk}", "bucket": os.environ["MEDIA_BUCKET"], **changes,
        }

    def test_repeated_message_has_one_effect(self):
        data = self.data(field="ProductImage.image")
        self.assertEqual([self.send(data, "evt_one") for _ in range(3)], [204] * 3)
        images = Product.objects.get(pk=data["object_id"]).images
        self.assertEqual(images.count(), 1)
        # A message is identified by its id, not by its content.
        self.assertEqual(self.send(self.data(field="ProductImage.image", object_id=data["object_id"]), "evt_one"), 204)
        self.assertEqual(images.count(), 1)

    def test_detached_upload_clears_the_column(self):
        name = f"products/{secrets.token_hex(8)}.png"
        of_one, of_many = self.data(name=name), self.data(name=name, field="ProductImage.image")
        product, other = [Product.objects.get(pk=data["object_id"]) for data in (of_one, of_many)]
        self.assertEqual([self.send(of_one), self.send(of_many)], [204, 204])
        self.assertEqual(self.send(of_many, event="upload.detached"), 204)
        product.refresh_from_db()
        self.assertEqual((product.image.name, other.images.count()), (name, 0))
        self.assertEqual(self.send(of_one, event="upload.detached"), 204)
        product.refresh_from_db()
        self.assertEqual(product.image.name, "")
        # A late or repeated confirm message does not restore it.
        self.assertEqual(self.send(of_one), 204)
        product.refresh_from_db()
        self.assertEqual(product.image.name, "")

    def test_message_is_retried_while_bytepass_is_down(self):
        data = self.data()
        with patch.object(bytepass, "attach", side_effect=bytepass.Unavailable("down")):
            self.assertEqual(self.send(data, "evt_two"), 503)
        self.assertEqual(Product.objects.get(pk=data["object_id"]).image.name, "")
        self.assertEqual(self.send(data, "evt_two"), 204)
        self.assertEqual(Product.objects.get(pk=data["object_id"]).image.name, data["name"])

    def test_upload_refused_by_bytepass_is_not_recorded(self):
        data = self.data()
        with patch.object(bytepass, "attach", side_effect=bytepass.Refused("409")):
            self.assertEqual(self.send(data), 204)
        self.assertEqual(Product.objects.get(pk=data["object_id"]).image.name, "")
        self.assertFalse(RecordedUpload.objects.filter(upload_id=data["id"]).exists())

    def test_unsigned_message_changes_nothing(self):
        data, stranger = self.data(), "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.assertEqual(self.send(data, secret=stranger), 401)
        self.assertEqual(self.send(data, sent_at=datetime.fromtimestamp(time.time() - 3600, timezone.utc)), 401)
        for signature in ["", "v1", "v1,%", "v1,AAAA", "v2,AAAA"]:
            headers = {"webhook-id": "evt_x", "webhook-timestamp": str(int(time.time())), "webhook-signature": signature}
            answer = Client().post("/uploads/webhook", data, content_type="application/json", headers=headers)
            self.assertEqual(answer.status_code, 401, signature)
        self.assertEqual(Product.objects.get(pk=data["object_id"]).image.name, "")
        self.assertEqual(self.send(data), 204)
        self.assertEqual(Product.objects.get(pk=data["object_id"]).image.name, "products/a.png")

    def test_message_about_unknown_record_is_acknowledged(self):
        for changes in [
            {"field": "Blog.image"}, {"object_id": None}, {"object_id": "0"}, {"object_id": "x"}, {"object_id": "9" * 255},
            {"owner": "service:1"}, {"owner": "user:"}, {"owner": f"user:{self.customer.pk}"}, {"bucket": "another"},
        ]:
            data = self.data(**changes)
            self.assertEqual(self.send(data), 204, changes)
            self.assertFalse(RecordedUpload.objects.filter(upload_id=data["id"]).exists(), changes)


class Database(Case):
    def test_the_view_shows_bytepasss_uploads_with_djangos_own_types(self):
        product, data = self.product(), picture()
        pending = self.create(self.staff, "Product.image", product.pk, data)
        row = Upload.objects.using("bytepass").get(id=pending["id"])
        self.assertEqual((row.status, row.name, row.confirmed_at), ("pending", None, None))

        upload = self.confirm(self.staff, pending)
        row = Upload.objects.using("bytepass").get(name=upload["name"])
        same = ["id", "status", "field", "owner", "object_id", "bucket", "key", "name", "filename", "content_type", "size", "etag", "confirmed_by"]
        self.assertEqual({name: getattr(row, name) for name in same}, {name: upload[name] for name in same})
        self.assertEqual({"algorithm": row.checksum_algorithm, "value": row.checksum_value}, upload["checksum"])
        for name in ["created_at", "expires_at", "confirmed_at"]:
            expected = datetime.fromisoformat(upload[name].replace("Z", "+00:00"))
            self.assertLess(abs(getattr(row, name) - expected).total_seconds(), 0.001, name)
        times = Upload.objects.using("bytepass").filter(created_at__lte=row.created_at, confirmed_at__gt=row.created_at)
        self.assertIn(row.id, times.values_list("id", flat=True))

    def test_model_has_exactly_the_columns_of_the_view(self):
        with connections["bytepass"].cursor() as cursor:
            columns = connections["bytepass"].introspection.get_table_description(cursor, Upload._meta.db_table)
        self.assertEqual([column.name for column in columns], [field.column for field in Upload._meta.fields])

    def test_migrations_match_models(self):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


if __name__ == "__main__":
    unittest.main()
