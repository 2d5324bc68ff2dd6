//! Malformed tokens with a valid signature: another encoding, broken JSON, missing or mistyped claims. A table like that of the
//! forged tokens, applied to each algorithm.

use serde_json::{Value, json};

use crate::support::token_cases::*;
use crate::support::token_signers::*;

/// A valid token with unused bits in every part, which a lax decoder ignores, and a signer for other parts.
struct Spelled<'a> {
    signer: &'a Signer,
    good: String,
    header: String,
    claims: String,
    signature: String,
}

impl Spelled<'_> {
    fn new(signer: &Signer) -> Spelled<'_> {
        let padded = |text: String| format!("{text}{}", " ".repeat((4 - text.len() % 3) % 3));
        let header = padded(signer.header().to_string());
        let good = signer.raw(&header, &padded(claims().to_string()));
        let [header, claims, signature] = parts(&good);
        Spelled {
            signer,
            good,
            header,
            claims,
            signature,
        }
    }

    fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        format!("{message}.{}", b64(self.signer.sign(&message)))
    }
}

/// Sets a bit that decodes to nothing: the lowest of the last character.
fn spare_bit(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "no spare bits here");
    let (rest, last) = part.split_at(part.len() - 1);
    let place = ALPHABET.find(last).unwrap();
    format!("{rest}{}", ALPHABET.as_bytes()[place | 1] as char)
}

fn case(name: &str, token: String, why: &'static str) -> Case {
    (name.to_owned(), token, why)
}

#[tokio::test]
async fn token_must_have_three_parts_and_two_dots() {
    let cases = |signer: &Signer| {
        let it = Spelled::new(signer);
        let (good, h, c, s) = (&it.good, &it.header, &it.claims, &it.signature);
        let flattened = json!({"payload": c, "protected": h, "signature": s});
        let general = json!({"payload": c, "signatures": [{"protected": h, "signature": s}]});
        let other_dot = good.replacen('.', "\u{2024}", 1);
        let long = format!("{good}{}", "A".repeat(8192));
        vec![
            case("one part", h.clone(), SHAPE),
            case("two parts", format!("{h}.{c}"), SHAPE),
            case("four parts", format!("{good}.{s}"), SHAPE),
            case("five parts", format!("{h}.{h}.{c}.{c}.{s}"), SHAPE),
            case("a dot behind", format!("{good}."), SHAPE),
            case("a dot before", format!(".{good}"), SHAPE),
            case("two dots behind", format!("{good}.."), SHAPE),
            case("flattened JSON", flattened.to_string(), SHAPE),
            case("general JSON", general.to_string(), SHAPE),
            case("a dot of another script", other_dot, SHAPE),
            case("too long", long, "the token is longer than 8 KiB"),
            case("only dots", "..".to_owned(), ENCODING),
            case("no signature", format!("{h}.{c}."), ENCODING),
            case("no header", it.signed("", c), ENCODING),
            case("no claims", it.signed(h, ""), ENCODING),
        ]
    };
    all_are_refused(cases, 15).await;
}

#[tokio::test]
async fn token_in_another_encoding_is_refused() {
    let cases = |signer: &Signer| {
        let it = Spelled::new(signer);
        let (good, h, c, s) = (&it.good, &it.header, &it.claims, &it.signature);
        let spare_signature = format!("{h}.{c}.{}", spare_bit(s));
        let standard = format!("{h}.{c}.+/{}", &s[2..]);
        let mut tokens = vec![
            ("padded header", it.signed(&format!("{h}=="), c)),
            ("padded claims", it.signed(h, &format!("{c}=="))),
            ("padded signature", format!("{h}.{c}.{s}==")),
            ("spare bits in the header", it.signed(&spare_bit(h), c)),
            ("spare bits in the claims", it.signed(h, &spare_bit(c))),
            ("spare bits in the signature", spare_signature),
            ("the standard alphabet", standard),
            ("a space before", format!(" {good}")),
            ("a line feed behind", format!("{good}\n")),
            ("a space inside", format!("{h}. {c}.{s}")),
            ("the scheme's name", format!("Bearer {good}")),
            ("NUL", format!("{good}\0")),
        ];
        for odd in ["A", "AAAAA", "%41", "ä", "\u{ff21}"] {
            tokens.push(("an impossible header", it.signed(odd, c)));
            tokens.push(("impossible claims", it.signed(h, odd)));
            tokens.push(("an impossible signature", format!("{h}.{c}.{odd}")));
        }
        let cases = tokens.into_iter();
        cases
            .map(|(name, token)| case(name, token, ENCODING))
            .collect()
    };
    all_are_refused(cases, 27).await;
}

#[tokio::test]
async fn header_and_claims_must_be_objects_with_distinct_names() {
    let no_objects = [
        "[]",
        "\"x\"",
        "null",
        "7",
        " ",
        "{",
        "{}x",
        "{}{}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "\u{feff}{}",
        "{'a':1}",
        "{}//",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":1}",
        "{\"a\":{\"b\":1,\"b\":2}}",
    ];
    let cases = |signer: &Signer| {
        let it = Spelled::new(signer);
        let broken = [&b"{\"a\":\""[..], &[0xff], b"\"}"].concat();
        let deep = format!("{{\"a\":{}", "[".repeat(3000));
        let mut texts: Vec<Vec<u8>> = no_objects.map(|text| text.into()).into();
        texts.extend([broken, deep.into_bytes()]);
        let mut cases = Vec::new();
        for text in texts {
            let name = String::from_utf8_lossy(&text[..text.len().min(30)]).into_owned();
            let in_header = it.signed(&b64(&text), &it.claims);
            cases.push((format!("header {name}"), in_header, HEADER));
            let in_claims = it.signed(&it.header, &b64(&text));
            cases.push((format!("claims {name}"), in_claims, CLAIMS));
        }
        let alg = signer.algorithm.as_str();
        let twice = format!("{{\"alg\":\"none\",\"alg\":\"{alg}\",\"kid\":\"key-1\"}}");
        let claims = claims().to_string();
        cases.push(case("alg twice", signer.raw(&twice, &claims), HEADER));
        let twice = claims.replacen('{', "{\"sub\":\"2\",", 1);
        let header = signer.header().to_string();
        cases.push(case("sub twice", signer.raw(&header, &twice), CLAIMS));
        cases
    };
    all_are_refused(cases, 40).await;
}

/// Claims that no token may carry: their name, a list of values in JSON, and why.
const BAD_CLAIMS: [(&str, &str, &str); 15] = [
    ("exp", r#"["1900000000",null,true,[1],{}]"#, TIME),
    ("nbf", r#"["1700000000",null,false,[1],{}]"#, TIME),
    ("iat", r#"["1700000000",null,false,[1],{}]"#, TIME),
    ("exp", "[1799999970,1799999970.0,0,-1,-1e300]", EXPIRED),
    ("exp", "[1e300,18446744073709551615,1800086401]", TOO_LONG),
    ("iat", "[-1e300,0]", TOO_LONG),
    ("nbf", "[1800000030.5,1e300]", NOT_YET),
    ("iat", "[1800000030.5,1e300]", FROM_FUTURE),
    ("iss", r#"["https://idp.example/","",1,{}]"#, ISSUER),
    ("iss", r#"[["https://idp.example"],null]"#, ISSUER),
    ("aud", r#"["other","BYTEPASS","",[],[""],null,1]"#, AUDIENCE),
    ("aud", r#"[["bytepass",1],{"bytepass":1}]"#, AUDIENCE),
    (
        "sub",
        r#"["",1,null,["1"],{},"a\u0000b","a\n","\u0085"]"#,
        SUBJECT,
    ),
    ("scope", r#"[["ops"],1,null,{},true]"#, SCOPE),
    (
        "fields",
        r#"["Product.image",null,["Product"],["*"],[1],["Product.image","x y.z"],{}]"#,
        FIELDS,
    ),
];

#[tokio::test]
async fn missing_and_mistyped_claims_are_refused() {
    let cases = |signer: &Signer| {
        let mut cases = Vec::new();
        for (name, values, why) in BAD_CLAIMS {
            let values: Vec<Value> = serde_json::from_str(values).unwrap();
            let values = values.into_iter();
            cases.extend(values.map(|value| claiming(signer, name, value, why)));
        }
        let long = json!("s".repeat(201));
        cases.push(claiming(signer, "sub", long, SUBJECT));
        for (name, why) in [
            ("exp", NO_EXP),
            ("iss", ISSUER),
            ("aud", AUDIENCE),
            ("sub", SUBJECT),
        ] {
            let token = signer.token(&with(claims(), name, Value::Null));
            cases.push((format!("no {name}"), token, why));
        }
        cases
    };
    all_are_refused(cases, 60).await;
}
