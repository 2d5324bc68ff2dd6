// Runs clients/node/verify-receipt.mjs, which the test copies beside this file, on the cases on standard input.

import { text } from "node:stream/consumers";

import { InvalidReceipt, receiptVerifier } from "./verify-receipt.mjs";

const input = JSON.parse(await text(process.stdin));
const verify = receiptVerifier({ jwksUrl: input.jwks_url, issuer: input.issuer, audience: input.audience });
const results = {};
for (const { name, receipt, field, owner, object_id } of input.cases) {
  try {
    results[name] = { claims: await verify(receipt, { field, owner, objectId: object_id ?? undefined }) };
  } catch (error) {
    if (!(error instanceof InvalidReceipt)) throw error;
    results[name] = { refused: error.message };
  }
}
process.stdout.write(JSON.stringify(results));
