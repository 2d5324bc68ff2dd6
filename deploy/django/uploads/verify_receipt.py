"""Verifies a receipt of Bytepass with PyJWT: `pip install "pyjwt[crypto]"`. Copy this file; it is all there is.

A Django view that takes the receipt from the browser, which can't change a letter of it:

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

`owner` is the broker's word for this user: the owner_prefix of the issuer of its tokens, then the tokens' `sub`.
A receipt says what was confirmed and can be shown again until it expires. Where one must count only once (a deposit),
keep its `jti`, the upload's id, in a unique column.
"""

import jwt

# What the broker signs with. Never take the algorithms from the receipt itself.
ALGORITHMS = ["EdDSA", "ES256"]
REQUIRED = ["iss", "aud", "sub", "jti", "field", "bucket", "key", "name", "size", "content_type", "etag", "iat", "exp"]


class InvalidReceipt(Exception):
    """This is no receipt for what is asked, and asking again will not help."""


class ReceiptVerifier:
    """One for a process: it keeps the broker's keys for five minutes and fetches them again when it meets a new one."""

    def __init__(self, jwks_url, issuer, audience="bytepass-receipts"):
        self.issuer, self.audience = issuer, audience
        self.keys = jwt.PyJWKClient(jwks_url, lifespan=300, timeout=5)

    def verify(self, receipt, *, field, owner, object_id=None):
        """The claims of a receipt that is good for this field and this owner, and for this record if one is given.

        Raises InvalidReceipt, or jwt.PyJWKClientConnectionError if the broker's keys can't be had just now.
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
        # The broker's key signs other tokens too: only this says that it is a receipt.
        if token["header"].get("typ") != "receipt+jwt":
            raise InvalidReceipt("the token is no receipt")
        claims = token["payload"]
        if claims["field"] != field:
            raise InvalidReceipt("the receipt is for another field")
        if claims["sub"] != owner:
            raise InvalidReceipt("the receipt is somebody else's")
        if object_id is not None and claims.get("object_id") != str(object_id):
            raise InvalidReceipt("the receipt is for another record")
        return claims
