use std::path::PathBuf;

use super::super::reader::layers::DEFAULT_TOML;
use super::{load, with_env};
use crate::config::{Config, IssuerKeys, Sources};
use crate::domain::field::{Cardinality, FieldPolicy, Visibility};
use crate::domain::media_type::MediaType;
use crate::policy::admission::ChecksumProof;

fn default_config() -> Config {
    Config::load(&Sources::default()).unwrap()
}

#[test]
fn default_fields_are_those_of_the_shop() {
    let row = |field: &FieldPolicy| {
        let types: Vec<_> = field.content_types.iter().map(|t| t.extension()).collect();
        let checksums: Vec<_> = field
            .required_checksums
            .iter()
            .map(|c| c.as_str())
            .collect();
        assert_eq!((field.min_size, field.max_size), (1, 10 * 1024 * 1024));
        assert_eq!(
            (field.url_lifetime_secs, field.upload_lifetime_secs),
            (900, 86_400)
        );
        let how = (field.visibility, field.cardinality);
        (
            field.name.to_string(),
            field.upload_to.clone(),
            types.join(" "),
            how,
            checksums.join(" "),
        )
    };
    let config = default_config();
    let found: Vec<_> = config.fields().iter().map(|field| row(field)).collect();
    let expect = |name: &str, upload_to: &str, types: &str, how, checksums: &str| {
        let text = str::to_owned;
        (
            text(name),
            text(upload_to),
            text(types),
            how,
            text(checksums),
        )
    };
    let images = "jpg png webp gif avif";
    let proofs = "jpg png webp gif avif heic pdf";
    let (one, many) = (Cardinality::One, Cardinality::Many);
    let (public, private) = (Visibility::Public, Visibility::Private);
    assert_eq!(
        found,
        [
            expect(
                "Deposit.deposit_proof",
                "deposit_proofs/",
                proofs,
                (private, one),
                "sha256"
            ),
            expect(
                "Order.txid_proof",
                "txid_proofs/",
                proofs,
                (private, one),
                "sha256"
            ),
            expect("Product.image", "products/", images, (public, one), ""),
            expect(
                "ProductImage.image",
                "products/",
                images,
                (public, many),
                ""
            ),
        ]
    );
}

#[test]
fn default_fields_accept_no_svg_html_or_xml() {
    for name in ["image/svg+xml", "text/html", "application/xml"] {
        let refused = MediaType::parse(name).unwrap();
        let config = default_config();
        assert!(
            config
                .fields()
                .iter()
                .all(|field| !field.content_types.contains(&refused))
        );
    }
}

#[test]
fn explain_lists_every_key_of_the_reference_page_in_order() {
    let mut written = Vec::new();
    let mut section = "";
    for line in DEFAULT_TOML.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ") {
            written.push(format!("{section}.{key}"));
        }
    }
    let config = default_config();
    let explained: Vec<_> = config.explain().iter().map(|row| row.key.clone()).collect();
    assert_eq!(explained, written);
    assert!(config.explain().iter().all(|row| row.source == "default"));
}

#[test]
fn every_key_of_the_reference_page_has_a_comment() {
    let lines: Vec<_> = DEFAULT_TOML.lines().collect();
    let settings = lines
        .split(|line| line.starts_with("# The fields, one table"))
        .next()
        .unwrap();
    for pair in settings.windows(2).filter(|pair| pair[1].contains(" = ")) {
        // A key is below its comment, or below another key with the same comment.
        let explained = pair[0].starts_with('#') || pair[0].contains(" = ");
        assert!(explained || pair[1].starts_with('#'), "{}", pair[1]);
    }
}

#[test]
fn production_example_loads_and_can_serve() {
    let mut sources = with_env(&[
        (
            "BYTEPASS_DATABASE_URL",
            "postgres://bytepass:hunter2@db.internal/bytepass",
        ),
        (
            "SHOP_BACKEND_SECRET",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        ),
        (
            "RECEIPTS_KEY",
            "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----",
        ),
    ]);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    sources.file = Some(root.join("deploy/bytepass.example.toml"));
    let config = Config::load(&sources).unwrap();
    config.require_for_serve().unwrap();
    assert!(matches!(config.auth.issuers[0].keys, IssuerKeys::Jwks(_)));
    assert!(matches!(
        config.auth.issuers[1].keys,
        IssuerKeys::Secret { .. }
    ));
    assert_eq!(config.receipts.keys[0].kid, "2026-01");
    assert_eq!(config.storage.bucket, "shop-media");
    assert_eq!(config.storage.checksum_proof(), ChecksumProof::Trusted);
}

#[test]
fn serve_needs_a_bucket_an_issuer_a_key_and_beyond_loopback_a_public_url() {
    let bare = default_config().require_for_serve().unwrap_err();
    assert_eq!(
        bare.to_string(),
        "storage.bucket = \"\" (default): must name the bucket\n\
         auth.issuers = [] (default): must have at least one [[auth.issuers]]\n\
         receipts.keys = [] (default): must have a key to sign receipts with: \
         `openssl genpkey -algorithm ed25519 -out receipts.pem`, \
         then keys = [{ kid = \"2026-01\", file = \"receipts.pem\" }]"
    );
    let open = load("[server]\nlisten = \"0.0.0.0:80\"\n[storage]\nbucket = \"media\"").unwrap();
    let errors = open.require_for_serve().unwrap_err();
    assert_eq!(
        errors.iter().next().unwrap().to_string(),
        "server.public_url = \"\" (default): must be the URL that clients use, such as \
         \"https://uploads.example\", because server.listen is 0.0.0.0:80"
    );
}

#[test]
fn base_url_is_the_public_url_or_else_the_bound_address() {
    let bound = "127.0.0.1:4711".parse().unwrap();
    assert_eq!(
        default_config().server.base_url(bound),
        "http://127.0.0.1:4711"
    );
    let config = load("[server]\npublic_url = \"https://shop.example/uploads/\"").unwrap();
    assert_eq!(
        config.server.base_url(bound),
        "https://shop.example/uploads"
    );
}

#[test]
fn checksum_proof_follows_checksum_proof_and_read_to_prove() {
    let fields = super::field("");
    let proof = |lines: &str| {
        let config = load(&format!("{fields}\n[storage]\nchecksum_proof = {lines}")).unwrap();
        config.storage.checksum_proof()
    };
    assert_eq!(proof("\"none\""), ChecksumProof::None);
    assert_eq!(
        proof("\"none\"\nread_to_prove = true"),
        ChecksumProof::Reading
    );
    assert_eq!(
        proof("\"trusted\"\nread_to_prove = true"),
        ChecksumProof::Trusted
    );
}
