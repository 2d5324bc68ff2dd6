"""boto3 against a running development bucket.

BUCKET_URL, BUCKET_NAME, ACCESS_KEY and SECRET_KEY name it. Needs boto3 and nothing else; every test uses keys of its own.
"""

import base64
import hashlib
import io
import os
import unittest
import urllib.error
import urllib.request
import uuid

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = os.environ["BUCKET_NAME"]
MIB = 1024 * 1024
SECRETS = {
    "aws_access_key_id": os.environ["ACCESS_KEY"],
    "aws_secret_access_key": os.environ["SECRET_KEY"],
}


def client(region="us-east-1", **settings):
    settings = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}, "retries": {"max_attempts": 0}, **settings}
    return boto3.client("s3", endpoint_url=os.environ["BUCKET_URL"], region_name=region, config=Config(**settings), **SECRETS)


def http(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


class DevelopmentBucket(unittest.TestCase):
    def setUp(self):
        self.s3 = client()
        self.prefix = f"{uuid.uuid4().hex}/"

    def key(self, name="k"):
        return self.prefix + name

    def refused(self, code, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(Bucket=BUCKET, **arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def read(self, key):
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def test_upload_file_and_download_file_of_one_piece(self):
        data = os.urandom(100_000)
        self.s3.upload_fileobj(io.BytesIO(data), BUCKET, self.key(), ExtraArgs={"ContentType": "image/png", "Metadata": {"owner": "user:1"}})
        head = self.s3.head_object(Bucket=BUCKET, Key=self.key())
        self.assertEqual((head["ContentType"], head["Metadata"], head["ContentLength"]), ("image/png", {"owner": "user:1"}, 100_000))
        back = io.BytesIO()
        self.s3.download_fileobj(BUCKET, self.key(), back)
        self.assertEqual(back.getvalue(), data)

    def test_upload_file_and_download_file_of_many_parts(self):
        data = os.urandom(23 * MIB + 17)
        parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
        self.s3.upload_fileobj(io.BytesIO(data), BUCKET, self.key(), Config=parts)
        head = self.s3.head_object(Bucket=BUCKET, Key=self.key(), ChecksumMode="ENABLED")
        self.assertTrue(head["ETag"].strip('"').endswith("-5"))
        digests = b"".join(hashlib.md5(data[at : at + 5 * MIB]).digest() for at in range(0, len(data), 5 * MIB))
        self.assertEqual(head["ETag"].strip('"'), hashlib.md5(digests).hexdigest() + "-5")
        self.assertIn("ChecksumType", head)
        back = io.BytesIO()
        self.s3.download_fileobj(BUCKET, self.key(), back, Config=parts)
        self.assertEqual(hashlib.sha256(back.getvalue()).digest(), hashlib.sha256(data).digest())

    def test_every_checksum_that_boto3_can_compute(self):
        for algorithm in ("CRC32", "SHA1", "SHA256"):
            put = self.s3.put_object(Bucket=BUCKET, Key=self.key(), Body=b"hello", ChecksumAlgorithm=algorithm)
            head = self.s3.head_object(Bucket=BUCKET, Key=self.key(), ChecksumMode="ENABLED")
            field = f"Checksum{algorithm}"
            self.assertEqual(head[field], put[field])
        self.assertEqual(head["ChecksumSHA256"], base64.b64encode(hashlib.sha256(b"hello").digest()).decode())

    def test_a_wrong_checksum_or_md5_leaves_the_old_object(self):
        self.s3.put_object(Bucket=BUCKET, Key=self.key(), Body=b"old")
        wrong = base64.b64encode(hashlib.sha256(b"jello").digest()).decode()
        self.refused("BadDigest", self.s3.put_object, Key=self.key(), Body=b"hello", ChecksumSHA256=wrong)
        wrong = base64.b64encode(hashlib.md5(b"jello").digest()).decode()
        self.refused("BadDigest", self.s3.put_object, Key=self.key(), Body=b"hello", ContentMD5=wrong)
        self.assertEqual(self.read(self.key()), b"old")

    def test_list_pages_and_folders(self):
        names = ["a", "b/1", "b/2", "c d+e", "ä&<"]
        for name in names:
            self.s3.put_object(Bucket=BUCKET, Key=self.key(name), Body=b"x")
        paginator = self.s3.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=BUCKET, Prefix=self.prefix, PaginationConfig={"PageSize": 2})
        found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        self.assertEqual(found, sorted((self.key(name) for name in names), key=str.encode))
        folders = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix, Delimiter="/")["CommonPrefixes"]
        self.assertEqual(folders, [{"Prefix": self.key("b/")}])

    def test_copy_replaces_what_it_is_told_to(self):
        self.s3.put_object(Bucket=BUCKET, Key=self.key(), Body=b"hello", ContentEncoding="br", ContentType="text/html", ChecksumAlgorithm="SHA256")
        source = {"Bucket": BUCKET, "Key": self.key()}
        self.s3.copy_object(Bucket=BUCKET, Key=self.key("copy"), CopySource=source, MetadataDirective="REPLACE", ContentType="image/png")
        head = self.s3.head_object(Bucket=BUCKET, Key=self.key("copy"), ChecksumMode="ENABLED")
        self.assertEqual(head["ContentType"], "image/png")
        self.assertNotIn("ContentEncoding", head)
        self.assertIn("ChecksumSHA256", head)
        self.refused("PreconditionFailed", self.s3.copy_object, Key=self.key("no"), CopySource=source, CopySourceIfMatch='"00"')
        source["Key"] = self.key("missing")
        self.refused("NoSuchKey", self.s3.copy_object, Key=self.key("no"), CopySource=source)

    def test_delete_one_and_many(self):
        for name in "abc":
            self.s3.put_object(Bucket=BUCKET, Key=self.key(name), Body=b"x")
        self.s3.delete_object(Bucket=BUCKET, Key=self.key("a"))
        answer = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": self.key(name)} for name in "bc"]})
        self.assertEqual(len(answer["Deleted"]), 2)
        self.assertEqual(self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix)["KeyCount"], 0)
        self.refused("NoSuchKey", self.s3.get_object, Key=self.key("a"))

    def test_presigned_get_put_and_head(self):
        put = self.s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": self.key(), "ContentType": "image/png", "ContentLength": 5})
        status, headers, _ = http("PUT", put, b"hello", {"Content-Type": "image/png"})
        self.assertEqual((status, headers["ETag"].strip('"')), (200, hashlib.md5(b"hello").hexdigest()))
        self.assertEqual(http("PUT", put, b"hello!", {"Content-Type": "image/png"})[0], 403)
        self.assertEqual(http("PUT", put, b"hello", {"Content-Type": "image/png", "x-amz-meta-a": "b"})[0], 403)
        get = self.s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": self.key(), "ResponseContentDisposition": "attachment"})
        status, headers, body = http("GET", get)
        self.assertEqual((status, headers["Content-Disposition"], body), (200, "attachment", b"hello"))
        head = self.s3.generate_presigned_url("head_object", Params={"Bucket": BUCKET, "Key": self.key()})
        self.assertEqual(http("HEAD", head)[0], 200)

    def test_presigned_post(self):
        post = self.s3.generate_presigned_post(BUCKET, self.key(), Conditions=[["content-length-range", 1, 10]])
        edge = uuid.uuid4().hex
        def form(data):
            fields = "".join(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in post["fields"].items())
            head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            body = fields.encode() + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
            return http("POST", post["url"], body, {"Content-Type": f"multipart/form-data; boundary={edge}"})[0]
        self.assertEqual(form(b"hello"), 204)
        self.assertEqual(self.read(self.key()), b"hello")
        self.assertEqual(form(b"eleven bytes"), 400)

    def test_multipart_by_hand(self):
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=self.key())["UploadId"]
        names = {"Bucket": BUCKET, "Key": self.key(), "UploadId": upload}
        url = self.s3.generate_presigned_url("upload_part", Params={**names, "PartNumber": 1})
        status, headers, _ = http("PUT", url, b"a" * 5 * MIB)
        self.assertEqual(status, 200)
        etag = self.s3.upload_part(**names, PartNumber=2, Body=b"tail")["ETag"]
        parts = self.s3.list_parts(**names)["Parts"]
        self.assertEqual([(part["PartNumber"], part["Size"], part["ETag"]) for part in parts], [(1, 5 * MIB, headers["ETag"]), (2, 4, etag)])
        uploads = self.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix)["Uploads"]
        self.assertEqual([entry["UploadId"] for entry in uploads], [upload])
        named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        self.s3.complete_multipart_upload(**names, MultipartUpload={"Parts": named})
        self.assertEqual(self.s3.head_object(Bucket=BUCKET, Key=self.key())["ContentLength"], 5 * MIB + 4)
        self.refused("NoSuchUpload", self.s3.abort_multipart_upload, Key=self.key(), UploadId=upload)

    def test_if_none_match_and_ranges(self):
        self.s3.put_object(Bucket=BUCKET, Key=self.key(), Body=b"hello", IfNoneMatch="*")
        self.refused("PreconditionFailed", self.s3.put_object, Key=self.key(), Body=b"again", IfNoneMatch="*")
        part = self.s3.get_object(Bucket=BUCKET, Key=self.key(), Range="bytes=1-3")
        self.assertEqual((part["Body"].read(), part["ContentRange"]), (b"ell", "bytes 1-3/5"))

    def test_another_region_and_version_2_are_refused(self):
        for other in (client(region="eu-west-1"), client(signature_version="s3")):
            with self.assertRaises(ClientError) as caught:
                other.put_object(Bucket=BUCKET, Key=self.key(), Body=b"x")
            self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)

    def test_buckets(self):
        self.assertIn(BUCKET, [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]])
        self.s3.head_bucket(Bucket=BUCKET)
        self.assertIsNone(self.s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"])


if __name__ == "__main__":
    unittest.main()
