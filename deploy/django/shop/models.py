"""The shop without Bytepass: nothing in this file depends on it."""

from django.conf import settings
from django.core.files.storage import storages
from django.db import models


def private():
    return storages["private"]


class Product(models.Model):
    title = models.CharField(max_length=200)
    image = models.ImageField(upload_to="products/", blank=True)


class ProductImage(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="images")
    image = models.ImageField(upload_to="products/")


class Deposit(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    deposit_proof = models.FileField(upload_to="deposit_proofs/", storage=private, blank=True)


class Order(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    txid_proof = models.FileField(upload_to="txid_proofs/", storage=private, blank=True)
