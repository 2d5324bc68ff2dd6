// Verifies a receipt of Bytepass with jose: `npm install jose`. Copy this file.
//
// An Express handler that takes the receipt from the browser (a changed receipt is refused):
//
//   const verifyReceipt = receiptVerifier({
//     jwksUrl: "https://uploads.example/.well-known/jwks.json", issuer: "https://uploads.example",
//   });
//
//   app.post("/products/:id/image", async (req, res) => {
//     try {
//       const claims = await verifyReceipt(req.body.receipt, { field: "Product.image", owner: `user:${req.user.id}` });
//       await db.query("UPDATE product SET image = $1 WHERE id = $2 AND seller_id = $3", [claims.name, req.params.id, req.user.id]);
//       res.sendStatus(204);
//     } catch (error) {
//       if (!(error instanceof InvalidReceipt)) throw error;
//       res.status(422).json({ detail: error.message });
//     }
//   });
//
// `owner` is how the broker names this user: the owner_prefix of the token's issuer, then the token's `sub`.
// A receipt can be presented repeatedly until it expires. Where it may count only once, store its `jti` in a unique column.

import { createRemoteJWKSet, errors, jwtVerify } from "jose";

// The algorithms that the broker signs with. Never take them from the receipt itself.
const algorithms = ["EdDSA", "ES256"];
const requiredClaims = ["sub", "jti", "field", "bucket", "key", "name", "size", "content_type", "etag", "iat", "exp"];

/** The receipt is not valid for this request; a retry will not help. */
export class InvalidReceipt extends Error {}

/** Returns the verifying function. Make one for a process: it caches the broker's keys for five minutes. */
export function receiptVerifier({ jwksUrl, issuer, audience = "bytepass-receipts" }) {
  const keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: 300_000 });
  const options = { algorithms, issuer, audience, requiredClaims, typ: "receipt+jwt" };

  /**
   * The claims of a receipt that is valid for this field and owner, and for this record if one is given.
   * Throws InvalidReceipt, or another error if the broker's keys can't be fetched now.
   */
  return async function verifyReceipt(receipt, { field, owner, objectId }) {
    const claims = await jwtVerify(receipt, keys, options).then(
      ({ payload }) => payload,
      (error) => {
        const unavailable = [errors.JWKSTimeout, errors.JWKSInvalid].some((kind) => error instanceof kind);
        if (unavailable || !(error instanceof errors.JOSEError) || error.code === "ERR_JOSE_GENERIC") throw error;
        throw new InvalidReceipt(error.message);
      },
    );
    if (claims.field !== field) throw new InvalidReceipt("the receipt is for another field");
    if (claims.sub !== owner) throw new InvalidReceipt("the receipt belongs to another owner");
    if (objectId !== undefined && claims.object_id !== String(objectId)) {
      throw new InvalidReceipt("the receipt is for another record");
    }
    return claims;
  };
}
