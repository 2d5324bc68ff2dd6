"""Verifies a receipt of Bytepass with PyJWT: `pip install "pyjwt[crypto]"`. Copy this file.

A Django view that takes the receipt from the browser (a changed receipt is refused):

    receipts = ReceiptVerifier("https://uploads.example/.well-known/jwks.json", issuer="https://uploads.example")

    @login_required
    @require_POST
    def set_image(request, pk):
        product = get_object_or_404(Product, pk=pk, seller=request.user)
        try:
            claims = receipts.verify(request.POST["receipt"], field="Product.image", owner=f"user:{request.user.pk}")
        except InvalidReceipt as error:
            return JsonResponse({"detail": str(error)}, status=422)
        product.image.name = claims["name"]
        product.save(update_fields=["image"])
        return JsonResponse({"url": product.image.url})

`owner` is how the broker names this user: the owner_prefix of the token's issuer, then the token's `sub`.
A receipt can be presented repeatedly until it expires. Where it may count only once (a deposit), store its `jti`, the
upload's id, in a unique column.
"""

import jwt

# The algorithms that the broker signs with. Never take them from the receipt itself.
ALGORITHMS = ["EdDSA", "ES256"]
REQUIRED = ["iss", "aud", "sub", "jti", "field", "bucket", "key", "name", "size", "content_type", "etag", "iat", "exp"]


class InvalidReceipt(Exception):
    """The receipt is not valid for this request; a retry will not help."""


class ReceiptVerifier:
    """Make one for a process: it caches the broker's keys for five minutes and fetches them again for an unknown one."""

    def __init__(self, jwks_url, issuer, audience="bytepass-receipts"):
        self.issuer, self.audience = issuer, audience
        self.keys = jwt.PyJWKClient(jwks_url, lifespan=300, timeout=5)

    def verify(self, receipt, *, field, owner, object_id=None):
        """The claims of a receipt that is valid for this field and owner, and for this record if one is given.

        Raises InvalidReceipt, or jwt.PyJWKClientConnectionError if the broker's keys can't be fetched now.
        """
        try:
            key = self.keys.get_signing_key_from_jwt(receipt)
            token = jwt.decode_complete(
                receipt, key, algorithms=ALGORITHMS, issuer=self.issuer, audience=self.audience, options={"require": REQUIRED},
            )
        except jwt.PyJWKClientConnectionError:
            raise
        except jwt.PyJWTError as error:
            raise InvalidReceipt(str(error)) from error
        # The broker's key also signs grants; the type tells them apart.
        if token["header"].get("typ") != "receipt+jwt":
            raise InvalidReceipt("the token is not a receipt")
        claims = token["payload"]
        if claims["field"] != field:
            raise InvalidReceipt("the receipt is for another field")
        if claims["sub"] != owner:
            raise InvalidReceipt("the receipt belongs to another owner")
        if object_id is not None and claims.get("object_id") != str(object_id):
            raise InvalidReceipt("the receipt is for another record")
        return claims
