//! Malformed request bodies: too long, too deep, ambiguous, not JSON, not UTF-8, wrong types.

use serde_json::{Value, json};

use super::{Case, post};

/// A valid declaration.
pub fn good() -> Value {
    json!({"field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": 5})
}

/// One request for each body.
pub fn cases(token: &str) -> Vec<Case> {
    let mut all: Vec<Case> = bombs()
        .into_iter()
        .chain(ambiguous())
        .chain(texts())
        .chain(types())
        .map(|(what, body)| (what, post(token, "", &body)))
        .collect();
    all.extend(encoded(token));
    all
}

fn bombs() -> Vec<Case> {
    let good = good().to_string();
    let open = good.trim_end_matches('}');
    let keys: String = (0..1_000_000).map(|n| format!("\"k{n}\":1,")).collect();
    let deep = |text: &str, depth: usize| {
        format!("{open},\"checksum\":{}", text.repeat(depth)).into_bytes()
    };
    vec![
        ("10 MB of spaces".into(), vec![b' '; 10_000_000]),
        (
            "a file name of 10 MB".into(),
            format!("{open},\"filename\":\"{}\"}}", "x".repeat(10_000_000)).into_bytes(),
        ),
        (
            "10 MB of digits".into(),
            format!("{{\"size\":{}}}", "9".repeat(10_000_000)).into_bytes(),
        ),
        (
            "a million keys".into(),
            format!("{{{keys}\"a\":1}}").into_bytes(),
        ),
        (
            "1,000 keys".into(),
            format!(
                "{{{}\"a\":1}}",
                &keys[..keys.find("\"k1000\"").unwrap_or(0)]
            )
            .into_bytes(),
        ),
        ("100,000 arrays".into(), deep("[", 100_000)),
        ("10,000 objects".into(), deep("{\"a\":", 10_000)),
        ("3,000 arrays within the limit".into(), deep("[", 3_000)),
        ("200 objects within the limit".into(), deep("{\"a\":", 200)),
        (
            "127 arrays, closed".into(),
            format!(
                "{open},\"checksum\":{}{}}}",
                "[".repeat(127),
                "]".repeat(127)
            )
            .into_bytes(),
        ),
        ("8,000 arrays and nothing else".into(), vec![b'['; 8_000]),
        (
            "one byte too many".into(),
            format!("{good}{}", " ".repeat(16_385 - good.len())).into_bytes(),
        ),
        (
            "a long number".into(),
            format!("{{\"size\":1{}}}", "0".repeat(10_000)).into_bytes(),
        ),
        ("a long exponent".into(), b"{\"size\":1e999999999}".to_vec()),
    ]
}

fn ambiguous() -> Vec<Case> {
    let good = good();
    let members = good.as_object().expect("an object");
    let text = good.to_string();
    let open = text.trim_end_matches('}');
    let mut all: Vec<Case> = members
        .iter()
        .map(|(name, value)| {
            (
                format!("{name} twice"),
                format!("{open},\"{name}\":{value}}}").into_bytes(),
            )
        })
        .collect();
    all.push((
        "a key twice, once escaped".into(),
        format!("{open},\"\\u0073ize\":6}}").into_bytes(),
    ));
    all.push(("two objects".into(), format!("{text}{text}").into_bytes()));
    all.push((
        "an object, then a letter".into(),
        format!("{text} x").into_bytes(),
    ));
    all.push(("in an array".into(), format!("[{text}]").into_bytes()));
    all.push((
        "an array of the values".into(),
        b"[\"Product.image\",\"cat.jpg\",\"image/jpeg\",5,null,null]".to_vec(),
    ));
    all.push((
        "a comma at the end".into(),
        format!("{open},}}").into_bytes(),
    ));
    all.push(("a comment".into(), format!("{open}/* x */}}").into_bytes()));
    all.push(("single quotes".into(), text.replace('"', "'").into_bytes()));
    for member in members.keys() {
        let mut missing = good.clone();
        missing.as_object_mut().expect("an object").remove(member);
        all.push((format!("no {member}"), missing.to_string().into_bytes()));
    }
    all
}

fn texts() -> Vec<Case> {
    let text = good().to_string();
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let wide: Vec<u8> = text
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    vec![
        ("UTF-16LE".into(), little.clone()),
        ("UTF-16BE".into(), big.clone()),
        (
            "UTF-16LE with a mark".into(),
            [&[0xff, 0xfe], &little[..]].concat(),
        ),
        (
            "UTF-16BE with a mark".into(),
            [&[0xfe, 0xff], &big[..]].concat(),
        ),
        ("UTF-32LE".into(), wide),
        (
            "UTF-8 with a mark".into(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        ),
        (
            "Latin-1".into(),
            text.replace("cat", "k\u{e4}tze")
                .chars()
                .map(|c| c as u8)
                .collect(),
        ),
        (
            "overlong UTF-8".into(),
            [b"{\"field\":\"", &b"\xc0\xaf"[..], b"\"}"].concat(),
        ),
        ("a NUL in front".into(), [b"\0", text.as_bytes()].concat()),
        ("a NUL behind".into(), [text.as_bytes(), b"\0"].concat()),
        ("nothing".into(), Vec::new()),
        ("one brace".into(), b"{".to_vec()),
        ("XML".into(), b"<?xml version=\"1.0\"?><a/>".to_vec()),
        ("a form".into(), b"field=Product.image&size=5".to_vec()),
        (
            "random bytes".into(),
            (0..4096).map(|_| rand::random()).collect(),
        ),
    ]
}

fn types() -> Vec<Case> {
    let wrong_texts = [
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "[]",
        "{}",
        "[\"a\"]",
        "\"\"",
        "\"\\u0000\"",
    ];
    let wrong_sizes = [
        "null",
        "true",
        "-1",
        "-0.0",
        "1.5",
        "1e3",
        "5.0",
        "\"5\"",
        "\"\"",
        "[5]",
        "{}",
        "0",
        "9007199254740992",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "-9223372036854775809",
        "05",
        "+5",
        "0x5",
        "5_0",
        "NaN",
        "Infinity",
    ];
    let wrong_checksums = [
        "true",
        "1",
        "\"sha256\"",
        "[]",
        "{}",
        "[\"crc32\",\"AAAAAA==\"]",
        "{\"algorithm\":\"crc32\"}",
        "{\"algorithm\":\"sha1\",\"value\":\"AAAA\"}",
        "{\"algorithm\":\"crc32\",\"value\":\"AAAA\"}",
        "{\"algorithm\":\"crc32\",\"value\":\"AAAAAA\"}",
        "{\"algorithm\":\"sha256\",\"value\":\"00\"}",
        "{\"algorithm\":null,\"value\":null}",
        "{\"algorithm\":\"CRC32\",\"value\":\"AAAAAA==\"}",
    ];
    let with = |name: &str, value: &str| {
        let mut members: Vec<String> = good()
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(known, _)| *known != name)
            .map(|(known, value)| format!("\"{known}\":{value}"))
            .collect();
        members.push(format!("\"{name}\":{value}"));
        (
            format!("{name} = {value}"),
            format!("{{{}}}", members.join(",")).into_bytes(),
        )
    };
    let mut all: Vec<Case> = Vec::new();
    for name in ["field", "filename", "content_type"] {
        all.extend(wrong_texts.iter().map(|value| with(name, value)));
    }
    all.extend(wrong_sizes.iter().map(|value| with("size", value)));
    all.extend(wrong_checksums.iter().map(|value| with("checksum", value)));
    // A member that only backends may send, in any form.
    all.extend(
        ["\"user:1\"", "1", "[]"]
            .iter()
            .map(|value| with("owner", value)),
    );
    all
}

/// Bodies that are declared as compressed, or are compressed, or have another charset.
fn encoded(token: &str) -> Vec<Case> {
    let body = good().to_string();
    // gzip of `{}`.
    let gzip: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00";
    let mut all: Vec<Case> = [
        "gzip",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "gzip, gzip",
        "GZIP",
        "identity, gzip",
        "evil",
    ]
    .iter()
    .flat_map(|encoding| {
        let lines = format!("content-encoding: {encoding}\r\n");
        [("a good body", body.as_bytes()), ("gzip", gzip)]
            .map(|(what, bytes)| (format!("{what} as {encoding}"), post(token, &lines, bytes)))
    })
    .collect();
    all.push((
        "gzip without Content-Encoding".into(),
        post(token, "", gzip),
    ));
    for charset in ["utf-16", "latin1", "utf-7", "x"] {
        let request = post(token, "", body.as_bytes());
        let request = String::from_utf8(request).expect("text");
        let typed = request.replace(
            "application/json",
            &format!("application/json; charset={charset}"),
        );
        all.push((format!("charset {charset}"), typed.into_bytes()));
    }
    all
}
