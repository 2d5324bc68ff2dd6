"""Runs clients/python/verify_receipt.py on the cases of standard input; prints its answer to each."""

import json
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "clients" / "python"))
from verify_receipt import InvalidReceipt, ReceiptVerifier  # noqa: E402

given = json.load(sys.stdin)
verifier = ReceiptVerifier(given["jwks_url"], issuer=given["issuer"], audience=given["audience"])
said = {}
for case in given["cases"]:
    wanted = {name: case[name] for name in ["field", "owner", "object_id"] if case[name] is not None}
    try:
        said[case["name"]] = {"claims": verifier.verify(case["receipt"], **wanted)}
    except InvalidReceipt as error:
        said[case["name"]] = {"refused": str(error)}
json.dump(said, sys.stdout)
