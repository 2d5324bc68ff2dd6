"""Checks deliveries with the Standard Webhooks verifier from PyPI: each unchanged one is accepted, each mutated one is refused."""

import base64
import json
import random
import sys

from standardwebhooks import Webhook, WebhookVerificationError

MUTANTS = 1000


def flipped(text, place):
    """One character differs; for base64, so that the bytes differ too, not only its unused bits."""
    other = "A" if text[place] != "A" else "Q"
    return text[:place] + other + text[place + 1 :]


def mutated(delivery, others, dice):
    headers, body = dict(delivery["headers"]), delivery["body"]
    signature = headers["webhook-signature"]
    kind = dice.randrange(9)
    if kind == 0:
        place = dice.randrange(len(body))
        body = body[:place] + ("x" if body[place] != "x" else "y") + body[place + 1 :]
    elif kind == 1:
        body += dice.choice([" ", "\n", "\0", "}", "\ufeff"])
    elif kind == 2:
        body = body[: dice.randrange(len(body))]
    elif kind == 3:
        headers["webhook-id"] = flipped(headers["webhook-id"], dice.randrange(len(headers["webhook-id"])))
    elif kind == 4:
        moved = dice.choice([-1, 1]) * dice.randrange(1, 100000)
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + moved)
    elif kind == 5:
        # Not the last digit before the padding, which has unused bits.
        headers["webhook-signature"] = flipped(signature, dice.randrange(3, len(signature) - 2))
    elif kind == 6:
        headers["webhook-signature"] = dice.choice(["", "v1,", signature.replace("v1,", "v2,"), signature[3:], "v1," + base64.b64encode(dice.randbytes(32)).decode()])
    elif kind == 7:
        del headers[dice.choice(["webhook-id", "webhook-timestamp", "webhook-signature"])]
    else:
        headers["webhook-signature"] = dice.choice(others)["headers"]["webhook-signature"]
    return headers, body


def main(path):
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    verifier, dice = Webhook(told["secret"]), random.Random()
    seed = dice.randrange(2**32)
    print(f"seed {seed}", file=sys.stderr)
    dice.seed(seed)
    deliveries = told["deliveries"]
    for delivery in deliveries:
        verifier.verify(delivery["body"], delivery["headers"])
    refused = 0
    for _ in range(MUTANTS):
        delivery = dice.choice(deliveries)
        others = [it for it in deliveries if it is not delivery]
        headers, body = mutated(delivery, others, dice)
        try:
            verifier.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            refused += 1
        else:
            sys.exit(f"accepted: {headers} {body}")
    print(f"accepted {len(deliveries)}, refused {refused}")


if __name__ == "__main__":
    main(sys.argv[1])
