//! Multipart uploads: what S3 checks at the end is checked here.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Digest as _;

use super::running::{BUCKET, Running, running};

const MIB: usize = 1024 * 1024;

async fn begin(bucket: &Running, algorithm: Option<ChecksumAlgorithm>) -> String {
    let create = bucket.sdk().create_multipart_upload().bucket(BUCKET);
    let create = create.key("big").content_type("video/mp4");
    let created = create.set_checksum_algorithm(algorithm).send().await;
    created.unwrap().upload_id().unwrap().to_owned()
}

/// Puts a part through a presigned URL; answers its ETag.
async fn part(bucket: &Running, id: &str, number: i32, bytes: &[u8]) -> String {
    let signed = bucket
        .presign("PUT", "/media/big")
        .query("partNumber", &number.to_string())
        .query("uploadId", id);
    let answer = bucket.send("PUT", &signed.target(), &[], bytes).await;
    assert_eq!(answer.code(), "200 ");
    answer.header("etag").unwrap().to_owned()
}

async fn complete(bucket: &Running, id: &str, parts: &[(i32, &str)]) -> Result<String, String> {
    let parts = parts.iter().map(|(number, etag)| {
        let part = CompletedPart::builder().part_number(*number);
        part.e_tag(*etag).build()
    });
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
    let complete = bucket.sdk().complete_multipart_upload().bucket(BUCKET);
    let complete = complete.key("big").upload_id(id);
    match complete.multipart_upload(list.build()).send().await {
        Ok(done) => Ok(done.e_tag().unwrap().to_owned()),
        Err(error) => Err(error.code().unwrap_or("none").to_owned()),
    }
}

#[tokio::test]
async fn parts_become_one_object_with_an_etag_made_of_theirs() {
    let bucket = running();
    let id = begin(&bucket, None).await;
    let (first, second) = (vec![1; 5 * MIB], vec![2; 100]);
    // Out of order, and one of them twice.
    let two = part(&bucket, &id, 7, &second).await;
    part(&bucket, &id, 1, b"replaced").await;
    let one = part(&bucket, &id, 1, &first).await;
    let parts = bucket.sdk().list_parts().bucket(BUCKET).key("big");
    let listed = parts.upload_id(&id).send().await.unwrap();
    let found: Vec<(i32, i64, &str)> = listed
        .parts()
        .iter()
        .map(|part| {
            (
                part.part_number().unwrap(),
                part.size().unwrap(),
                part.e_tag().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [(1, 5 * MIB as i64, &*one), (7, 100, &*two)]);
    let etag = complete(&bucket, &id, &[(1, &one), (7, &two)])
        .await
        .unwrap();
    let mut digests = md5::Md5::digest(&first).to_vec();
    digests.extend(md5::Md5::digest(&second));
    let expected = format!("\"{}-2\"", hex::encode(md5::Md5::digest(&digests)));
    assert_eq!(etag, expected);
    let read = bucket.read(BUCKET, "big").await.unwrap();
    assert!(read == [first, second].concat());
    let head = bucket.sdk().head_object().bucket(BUCKET).key("big");
    let head = head.send().await.unwrap();
    assert_eq!(head.e_tag(), Some(&*expected));
    assert_eq!(head.content_type(), Some("video/mp4"));
    assert_eq!(bucket.files(), 1, "the parts are gone");
    let again = complete(&bucket, &id, &[(1, &one)]).await;
    assert_eq!(again, Err("NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_wrong_list_of_parts_is_refused_and_the_upload_goes_on() {
    let bucket = running();
    let id = begin(&bucket, None).await;
    let one = part(&bucket, &id, 1, &vec![1; 5 * MIB - 1]).await;
    let two = part(&bucket, &id, 2, b"two").await;
    let three = part(&bucket, &id, 3, b"three").await;
    let other = "\"00000000000000000000000000000000\"";
    for (list, code) in [
        (vec![(2, &*two), (1, &*one)], "InvalidPartOrder"),
        (vec![(2, &*two), (2, &*two)], "InvalidPartOrder"),
        (vec![(1, other)], "InvalidPart"),
        (vec![(4, &*three)], "InvalidPart"),
        (vec![(1, &*one), (2, &*two)], "EntityTooSmall"),
        (vec![], "MalformedXML"),
    ] {
        let result = complete(&bucket, &id, &list).await;
        assert_eq!(result, Err(code.to_owned()), "{list:?}");
    }
    assert_eq!(bucket.read(BUCKET, "big").await, None);
    complete(&bucket, &id, &[(3, &three)]).await.unwrap();
    assert_eq!(bucket.read(BUCKET, "big").await.unwrap(), b"three");
    assert_eq!(bucket.files(), 1, "parts that were not named are gone too");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing_and_takes_nothing_more() {
    let bucket = running();
    let id = begin(&bucket, None).await;
    let one = part(&bucket, &id, 1, b"one").await;
    let abort = bucket.sdk().abort_multipart_upload().bucket(BUCKET);
    let abort = abort.key("big").upload_id(&id);
    abort.clone().send().await.unwrap();
    assert_eq!(bucket.files(), 0);
    let again = abort.send().await.unwrap_err();
    assert_eq!(again.code(), Some("NoSuchUpload"));
    let late = complete(&bucket, &id, &[(1, &one)]).await;
    assert_eq!(late, Err("NoSuchUpload".to_owned()));
    let signed = bucket.presign("PUT", "/media/big").query("partNumber", "1");
    let target = signed.query("uploadId", &id).target();
    let answer = bucket.send("PUT", &target, &[], b"one").await;
    assert_eq!(answer.code(), "404 NoSuchUpload");
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn an_upload_belongs_to_one_key_and_part_numbers_have_bounds() {
    let bucket = running();
    let id = begin(&bucket, None).await;
    for (path, number, code) in [
        ("/media/else", "1", "404 NoSuchUpload"),
        ("/other/big", "1", "404 NoSuchUpload"),
        ("/media/big", "0", "400 InvalidArgument"),
        ("/media/big", "10001", "400 InvalidArgument"),
    ] {
        let signed = bucket.presign("PUT", path).query("partNumber", number);
        let target = signed.query("uploadId", &id).target();
        let answer = bucket.send("PUT", &target, &[], b"x").await;
        assert_eq!(answer.code(), code, "{path} {number}");
    }
}

#[tokio::test]
async fn open_uploads_are_listed_page_by_page() {
    let bucket = running();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(begin(&bucket, None).await);
    }
    ids.sort_unstable();
    let mut found = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let list = bucket.sdk().list_multipart_uploads().bucket(BUCKET);
        let list = list.prefix("bi").max_uploads(2);
        let list = list.set_key_marker(key).set_upload_id_marker(id);
        let page = list.send().await.unwrap();
        found.extend(
            page.uploads()
                .iter()
                .map(|it| it.upload_id().unwrap().to_owned()),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_upload_id_marker().map(str::to_owned);
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn checksums_of_parts_become_the_objects_composite_one() {
    let bucket = running();
    let id = begin(&bucket, Some(ChecksumAlgorithm::Sha256)).await;
    let (first, second) = (vec![1; 5 * MIB], vec![2; 100]);
    let one = part(&bucket, &id, 1, &first).await;
    let two = part(&bucket, &id, 2, &second).await;
    complete(&bucket, &id, &[(1, &one), (2, &two)])
        .await
        .unwrap();
    let mut digests = sha2::Sha256::digest(&first).to_vec();
    digests.extend(sha2::Sha256::digest(&second));
    let expected = format!("{}-2", BASE64.encode(sha2::Sha256::digest(&digests)));
    let head = bucket.sdk().head_object().bucket(BUCKET).key("big");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_sha256(), Some(&*expected));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::Composite));
    // A copy is one piece: its ETag is an MD5 and its checksum is of the whole.
    let copy = bucket.sdk().copy_object().bucket(BUCKET).key("copy");
    copy.copy_source("media/big").send().await.unwrap();
    let head = bucket.sdk().head_object().bucket(BUCKET).key("copy");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    let whole = [first, second].concat();
    let md5 = format!("\"{}\"", hex::encode(md5::Md5::digest(&whole)));
    assert_eq!(head.e_tag(), Some(&*md5));
    let sha256 = BASE64.encode(sha2::Sha256::digest(&whole));
    assert_eq!(head.checksum_sha256(), Some(&*sha256));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
}

#[tokio::test]
async fn a_checksum_of_the_whole_is_computed_while_the_parts_are_joined() {
    let bucket = running();
    let id = begin(&bucket, Some(ChecksumAlgorithm::Crc64Nvme)).await;
    let one = part(&bucket, &id, 1, b"hello").await;
    complete(&bucket, &id, &[(1, &one)]).await.unwrap();
    let head = bucket.sdk().head_object().bucket(BUCKET).key("big");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_crc64_nvme(), Some("M3eFcAZSQlc="));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
}
