"""Which upload may change which record, and how: the one file of this app to adapt to your shop."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import models

from shop.models import Deposit, Order, Product, ProductImage


@dataclass(frozen=True)
class UploadField:
    """What a field of Bytepass's configuration means here."""

    # The model and the column that hold an upload's name.
    model: type[models.Model]
    column: str
    # (record, user) -> whether this user may change this record.
    may_change: Callable[[models.Model, object], bool]
    # Where one record has many files, each a row of `model`: the row's foreign key to the record.
    parent: str | None = None

    @property
    def record_model(self):
        """The model whose primary key an upload's `object_id` is."""
        return self.model._meta.get_field(self.parent).related_model if self.parent else self.model

    def save(self, record, name):
        if self.parent:
            self.model.objects.create(**{self.parent: record, self.column: name})
        else:
            getattr(record, self.column).name = name
            record.save(update_fields=[self.column])

    def clear(self, name):
        rows = self.model.objects.filter(**{self.column: name})
        rows.delete() if self.parent else rows.update(**{self.column: ""})


def staff(_record, user):
    return user.has_perm("shop.change_product")


def is_owner(record, user):
    return record.user_id == user.pk


FIELDS = {
    "Product.image": UploadField(Product, "image", staff),
    "ProductImage.image": UploadField(ProductImage, "image", staff, parent="product"),
    "Deposit.deposit_proof": UploadField(Deposit, "deposit_proof", is_owner),
    "Order.txid_proof": UploadField(Order, "txid_proof", is_owner),
}
