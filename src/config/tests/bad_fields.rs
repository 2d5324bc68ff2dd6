use super::{field, load, refused};

#[test]
fn bad_field_is_refused_with_allowed_values() {
    refused(&[
        (
            &field("upload_to = \"Products\""),
            r#"fields."Product.image".upload_to = "Products" (bytepass.toml:4): must end with '/'; such as "products/""#,
        ),
        (
            &field("max_size = \"10 MB\""),
            r#"fields."Product.image".max_size = "10 MB" (bytepass.toml:4): must be 1 to 5368709120 bytes, as an integer or a string such as "10 MiB" (B, KiB, MiB, GiB)"#,
        ),
        (
            &field("max_size = 5368709121"),
            r#"fields."Product.image".max_size = 5368709121 (bytepass.toml:4): must be 1 to 5368709120 bytes, as an integer or a string such as "10 MiB" (B, KiB, MiB, GiB)"#,
        ),
        (
            &field("min_size = \"2 MiB\""),
            r#"fields."Product.image".min_size = "2 MiB" (bytepass.toml:5): must not be greater than max_size"#,
        ),
        (
            &field("content_types = []"),
            r#"fields."Product.image".content_types = [] (bytepass.toml:4): must list at least one content type"#,
        ),
        (
            &field("visibility = \"secret\""),
            r#"fields."Product.image".visibility = "secret" (bytepass.toml:5): must be "public" or "private""#,
        ),
        (
            &field("cardinality = \"two\""),
            r#"fields."Product.image".cardinality = "two" (bytepass.toml:5): must be "one" or "many""#,
        ),
        (
            &field("required_checksums = [\"md5\"]"),
            r#"fields."Product.image".required_checksums = ["md5"] (bytepass.toml:5): must list only "sha256", "crc32", "crc32c" or "crc64nvme"; not "md5""#,
        ),
        (
            &field("url_lifetime_secs = 604801"),
            r#"fields."Product.image".url_lifetime_secs = 604801 (bytepass.toml:5): must be an integer from 1 to 604800"#,
        ),
        (
            &field("url_lifetime_secs = 60\nupload_lifetime_secs = 959"),
            r#"fields."Product.image".upload_lifetime_secs = 959 (bytepass.toml:6): must be at least 960: 900 more than url_lifetime_secs, because a slow PUT may end after its URL"#,
        ),
        (
            &field("max_sise = 3"),
            r#"fields."Product.image".max_sise (bytepass.toml:5): unknown key; did you mean "max_size"?"#,
        ),
        (
            "[fields.\"Product.image\"]\nupload_to = \"products/\"\ncontent_types = [\"image/png\"]",
            r#"fields."Product.image".max_size (bytepass.toml:1): must be set"#,
        ),
        (
            "[fields.Product.image]\nupload_to = \"products/\"",
            r#"fields."Product" (bytepass.toml:1): quote the name: [fields."Product.image"]"#,
        ),
        (
            "[fields.\"Product image\"]\nupload_to = \"products/\"",
            r#"fields."Product image" (bytepass.toml:1): a field is named Model.field: two identifiers (letters, digits, _) and a dot, at most 100 bytes"#,
        ),
        (
            "[fields]",
            r#"fields (bytepass.toml:1): must have at least one table [fields."Model.field"]"#,
        ),
    ]);
}

#[test]
fn unknown_content_type_is_refused_with_the_known_ones() {
    let errors = load(&field("content_types = [\"image/jpg\"]")).unwrap_err();
    assert!(errors.starts_with(
        r#"fields."Product.image".content_types = ["image/jpg"] (bytepass.toml:4): must list only "image/jpeg", "image/png""#
    ));
    assert!(errors.ends_with(r#"; not "image/jpg""#), "{errors}");
}

#[test]
fn upload_to_that_is_too_long_or_under_staging_is_refused() {
    let long = "a".repeat(62);
    let longer = "a".repeat(63);
    refused(&[
        (
            &field(&format!("upload_to = \"{longer}/\"")),
            &format!(
                r#"fields."Product.image".upload_to = "{longer}/" (bytepass.toml:4): must have at most 63 bytes; such as "products/""#
            ),
        ),
        (
            &format!(
                "{}\n[storage]\nlocation = \"{}/\"",
                field(&format!("upload_to = \"{long}/\"")),
                "b".repeat(20)
            ),
            &format!(
                r#"fields."Product.image".upload_to = "{long}/" (bytepass.toml:4): must have at most 83 bytes, with storage.location"#
            ),
        ),
        (
            &format!(
                "{}\n[storage]\nlocation = \"\"",
                field("upload_to = \"staging/images/\"")
            ),
            r#"fields."Product.image".upload_to = "staging/images/" (bytepass.toml:4): must not be under storage.staging_prefix "staging/", nor that under it"#,
        ),
    ]);
    let fits = format!(
        "{}\n[storage]\nlocation = \"{}/\"",
        field(&format!("upload_to = \"{long}/\"")),
        "b".repeat(19)
    );
    assert!(load(&fits).is_ok());
    let bare = format!("{}\n[storage]\nlocation = \"\"", field(""));
    assert_eq!(load(&bare).unwrap().storage.layout.location, "");
}

#[test]
fn private_field_under_a_public_prefix_is_refused() {
    let public = field("visibility = \"public\"");
    let private = public
        .replace("Product.image", "Order.proof")
        .replace("products/", "products/proofs/")
        .replace("public", "private");
    refused(&[(
        &format!("{public}\n{private}"),
        r#"fields."Order.proof".upload_to = "products/proofs/" (bytepass.toml:7): must not be under "products/" of the public field Product.image, which anyone may read"#,
    )]);
}

#[test]
fn required_checksum_needs_a_verifying_store_or_read_to_prove() {
    let required =
        field("required_checksums = [\"sha256\"]\n[storage]\nchecksum_proof = \"none\"\n");
    refused(&[(
        &required,
        "fields.\"Product.image\".required_checksums = [\"sha256\"] (bytepass.toml:5): must be empty, because \
         storage.checksum_proof is \"none\"; or set storage.read_to_prove = true \
         (the broker then reads each such object once)",
    )]);
    assert!(load(&format!("{required}read_to_prove = true")).is_ok());
    assert!(load(&required.replace("[\"sha256\"]", "[]")).is_ok());
}

#[test]
fn sizes_may_have_a_unit() {
    for (text, bytes) in [
        ("\"1 B\"", 1),
        ("\"64KiB\"", 65_536),
        ("\"10 MiB\"", 10_485_760),
        ("\"5 GiB\"", 5_368_709_120),
        ("7", 7),
    ] {
        let config = load(&field(&format!("max_size = {text}"))).unwrap();
        assert_eq!(config.fields().iter().next().unwrap().max_size, bytes);
    }
}
