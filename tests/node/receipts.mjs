// Runs clients/node/verify-receipt.mjs, which lies beside it for the test, on the cases of standard input.

import { text } from "node:stream/consumers";

import { InvalidReceipt, receiptVerifier } from "./verify-receipt.mjs";

const told = JSON.parse(await text(process.stdin));
const verify = receiptVerifier({ jwksUrl: told.jwks_url, issuer: told.issuer, audience: told.audience });
const said = {};
for (const { name, receipt, field, owner, object_id } of told.cases) {
  try {
    said[name] = { claims: await verify(receipt, { field, owner, objectId: object_id ?? undefined }) };
  } catch (error) {
    if (!(error instanceof InvalidReceipt)) throw error;
    said[name] = { refused: error.message };
  }
}
process.stdout.write(JSON.stringify(said));
