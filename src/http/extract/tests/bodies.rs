use serde_json::{Value, json};

use super::super::json::parse as parse_json;
use crate::broker::Declared;
use crate::http::examples;
use crate::http::problem::Problem;
use crate::http::resources::uploads::CreateUploadBody;

fn create(text: impl AsRef<[u8]>) -> Result<Declared, Problem> {
    parse_json::<CreateUploadBody>(text.as_ref())?.try_into()
}

fn refusal(text: impl AsRef<[u8]>) -> Value {
    match create(text.as_ref()) {
        Ok(_) => panic!("{} was accepted", String::from_utf8_lossy(text.as_ref())),
        Err(problem) => {
            let document = problem.document("https://b", "urn:request:1");
            assert_eq!(document["code"], "invalid-request", "{document}");
            document
        }
    }
}

#[test]
fn example_of_the_contract_is_accepted() {
    let upload = create(examples::create_body().to_string()).unwrap();
    assert_eq!((upload.size, upload.filename.as_str()), (183442, "cat.jpg"));
    assert_eq!(upload.checksum.unwrap().0, "sha256");
    let mut without = examples::create_body();
    without["checksum"] = Value::Null;
    assert!(create(without.to_string()).unwrap().checksum.is_none());
}

#[test]
fn members_of_rows_and_responses_are_rejected() {
    let names = [
        "id",
        "status",
        "version",
        "bucket",
        "key",
        "name",
        "staging_key",
        "url",
        "etag",
        "verified",
        "receipt",
        "created_at",
        "expires_at",
        "confirmed_at",
        "confirmed_by",
        "object_removed_at",
        "url_lifetime_secs",
        "presigned",
        "confirm_url",
        "errors",
        "differences",
        "metadata",
        "identified",
        "analyzed",
        "upload_to",
        "visibility",
        "acl",
        "tagging",
        "issuer",
        "subject",
        "scope",
        "scopes",
        "fields",
        "Field",
        "SIZE",
        "size ",
        "__proto__",
        "constructor",
        "",
        "$ref",
        "a/b",
        "a~b",
        "sizе",
    ];
    for name in names {
        let mut body = examples::create_body();
        body[name] = json!("x");
        let document = refusal(body.to_string());
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        assert_eq!(document["errors"][0]["pointer"], pointer, "{document}");

        let mut body = examples::create_body();
        body["checksum"][name] = json!("x");
        let document = refusal(body.to_string());
        assert_eq!(
            document["errors"][0]["pointer"],
            format!("/checksum{pointer}"),
            "{document}"
        );
    }
}

#[test]
fn random_members_are_rejected() {
    for _ in 0..200 {
        let mut body = examples::create_body();
        body[hex::encode(rand::random::<[u8; 6]>())] = json!(true);
        refusal(body.to_string());
    }
}

#[test]
fn duplicate_members_are_rejected() {
    let whole = examples::create_body().to_string();
    for (again, pointer) in [
        ("\"size\":1", "/size"),
        ("\"field\":\"Product.image\"", "/field"),
        ("\"si\\u007ae\":1", "/size"),
        ("\"checksum\":null", "/checksum"),
    ] {
        let document = refusal(format!("{{{again},{}", &whole[1..]));
        assert_eq!(document["errors"][0]["pointer"], pointer, "{document}");
    }
    let twice = "{\"algorithm\":\"md5\",\"algorithm\":\"sha256\",\"value\":\"\"}";
    let document = refusal(format!("{{\"checksum\":{twice}}}"));
    assert_eq!(
        document["errors"][0]["pointer"], "/checksum/algorithm",
        "{document}"
    );
}

#[test]
fn size_must_be_a_whole_number() {
    let body = |size: &str| {
        format!(
            "{{\"field\":\"Product.image\",\"filename\":\"a\",\"content_type\":\"image/png\",\"size\":{size}}}"
        )
    };
    for size in [
        "-1",
        "-0",
        "1e3",
        "1E3",
        "1.0",
        "0.5",
        "\"5\"",
        "null",
        "true",
        "[5]",
        "{}",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "99999999999999999999999999",
    ] {
        let document = refusal(body(size));
        assert_eq!(
            document["errors"][0]["pointer"], "/size",
            "{size}: {document}"
        );
        let detail = document["detail"].as_str().unwrap();
        assert!(detail.contains("whole number of bytes"), "{size}: {detail}");
    }
    for size in ["05", "+5", "0x5", "5_000", "NaN", "Infinity", ""] {
        refusal(body(size));
    }
    for (size, bytes) in [
        ("0", 0),
        ("1", 1),
        ("10485761", 10_485_761),
        ("9007199254740991", 9_007_199_254_740_991),
    ] {
        assert_eq!(create(body(size)).unwrap().size, bytes);
    }
}

#[test]
fn missing_or_mistyped_member_has_a_pointer() {
    for name in ["field", "filename", "content_type", "size"] {
        let mut body = examples::create_body();
        body.as_object_mut().unwrap().remove(name);
        let document = refusal(body.to_string());
        assert_eq!(
            document["errors"][0]["pointer"],
            format!("/{name}"),
            "{document}"
        );
        for wrong in [json!({}), json!([]), json!(true)] {
            let mut body = examples::create_body();
            body[name] = wrong;
            assert_eq!(
                refusal(body.to_string())["errors"][0]["pointer"],
                format!("/{name}")
            );
        }
    }
    for wrong in [
        json!("sha256"),
        json!(["sha256", "x"]),
        json!({"algorithm": "sha256"}),
        json!(1),
    ] {
        let mut body = examples::create_body();
        body["checksum"] = wrong;
        let document = refusal(body.to_string());
        assert!(
            document["errors"][0]["pointer"]
                .as_str()
                .unwrap()
                .starts_with("/checksum"),
            "{document}"
        );
    }
    let document = refusal(
        examples::create_body()
            .to_string()
            .replace("Product.image", "avatar"),
    );
    assert_eq!(document["errors"][0]["pointer"], "/field");
}

#[test]
fn body_must_be_one_json_object_in_utf8() {
    let whole = examples::create_body().to_string();
    let utf16: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let many: String = (0..5_000).map(|n| format!("\"m{n}\":1,")).collect();
    let texts: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"   ".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"[\"Product.image\",\"cat.jpg\",\"image/jpeg\",5,null,null]".to_vec(),
        "[".repeat(16_000).into_bytes(),
        "{\"a\":".repeat(3_000).into_bytes(),
        format!("{{\"field\":{}", "[".repeat(16_000)).into_bytes(),
        format!("{{\"checksum\":{}", "{\"algorithm\":".repeat(1_000)).into_bytes(),
        format!("{{{many}\"field\":\"a\"}}").into_bytes(),
        utf16,
        format!("\u{feff}{whole}").into_bytes(),
        format!("{whole}{whole}").into_bytes(),
        format!("{whole} x").into_bytes(),
        whole.replace("cat.jpg", "\\ud800").into_bytes(),
        [b"{\"field\":\"".as_slice(), b"\xff\xfe\"}"].concat(),
        whole.replace("cat.jpg", "a\nb").into_bytes(),
        whole.replace(':', "=").into_bytes(),
        format!("{whole}\0").into_bytes(),
    ];
    for text in texts {
        let document = refusal(&text);
        assert!(document["detail"].as_str().unwrap().chars().count() < 400);
    }
}

#[test]
fn body_that_is_not_an_object_has_a_plain_detail() {
    for text in ["\"x\"", "null", " 1", "-1.5", "true", "[]", "[1, {}]"] {
        assert_eq!(
            refusal(text)["detail"],
            "the body must be a JSON object",
            "{text}"
        );
    }
    for text in ["hello", "\"x", "1 x", "[", "nul"] {
        let document = refusal(text);
        let detail = document["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("the body is not valid JSON: "),
            "{text}: {detail}"
        );
        assert!(!detail.contains("Body"), "{text}: {detail}");
    }
}
