//! Forged tokens: a table of mutations, each applied to a valid token of each algorithm. Each is refused for the reason in its row, and
//! the reason shows nothing of the token.

use bytepass::auth::Algorithm;
use serde_json::{Value, json};

use crate::support::token_cases::*;
use crate::support::token_signers::*;

/// Header members that no token may carry: their name, a list of values in JSON, and why.
const BAD_MEMBERS: [(&str, &str, &str); 12] = [
    (
        "alg",
        r#"["none","None","NONE","nOnE",""," ","hs256","HS256 ","eddsa","Ed25519"]"#,
        ALG,
    ),
    (
        "alg",
        r#"["HS384","HS512","RS384","RS512","PS256","PS384","PS512"]"#,
        ALG,
    ),
    (
        "alg",
        r#"["ES384","ES512","ES256K","dir","A256KW",null,256,["HS256"],{},true]"#,
        ALG,
    ),
    ("kid", r#"[null,7,["key-1"],{},"",true]"#, KID_SHAPE),
    (
        "kid",
        r#"["key-2","KEY-1","key-1 ","../../../../dev/null","key-1\u0000"]"#,
        KID_UNKNOWN,
    ),
    (
        "kid",
        r#"["' OR 1=1 --","key-1\n","*","https://evil.example/key"]"#,
        KID_UNKNOWN,
    ),
    ("jku", r#"["http://127.0.0.1:1/keys",null]"#, MEMBER),
    ("x5u", r#"["https://evil.example/cert",null]"#, MEMBER),
    ("x5c", r#"[["MIIB"],[]]"#, MEMBER),
    ("crit", r#"[[],["exp"],["b64"],null,"exp"]"#, MEMBER),
    ("b64", "[false,true,null]", MEMBER),
    (
        "typ",
        r#"["JWE","bytepass-receipt+jwt","","JWT ",1,null,["JWT"]]"#,
        TYP,
    ),
];

#[tokio::test]
async fn token_header_chooses_neither_algorithm_nor_key() {
    let cases = |signer: &Signer| {
        let mut cases = Vec::new();
        for (name, values, why) in BAD_MEMBERS {
            let values: Vec<Value> = serde_json::from_str(values).unwrap();
            let values = values.into_iter();
            cases.extend(values.map(|value| headed(signer, name, value, why)));
        }
        for alg in ["HS256", "RS256", "ES256", "EdDSA"] {
            if alg != signer.algorithm.as_str() {
                cases.push(headed(signer, "alg", json!(alg), OTHER_ALG));
            }
        }
        let long = json!("k".repeat(4096));
        cases.push(headed(signer, "kid", long, KID_SHAPE));
        cases.push(headed(signer, "jwk", signer.jwk(KID), MEMBER));
        let header = with(signer.header(), "alg", Value::Null).to_string();
        let token = signer.raw(&header, &claims().to_string());
        cases.push(("no alg".to_owned(), token, ALG));
        // An unsigned token, as a library writes one that takes `none`.
        let header = b64(json!({"alg": "none"}).to_string());
        let token = format!("{header}.{}.", b64(claims().to_string()));
        cases.push(("unsigned".to_owned(), token, ENCODING));
        cases
    };
    all_are_refused(cases, 60).await;
}

#[tokio::test]
async fn token_signed_with_the_public_key_as_hmac_secret_is_refused() {
    for signer in Signer::all() {
        if signer.algorithm == Algorithm::HS256 {
            continue;
        }
        let auth = trusting(&signer);
        let pem = signer.pem();
        let secrets = [
            pem.clone().into_bytes(),
            pem.trim().as_bytes().to_vec(),
            pem_body(&pem),
            signer.public(),
            signer.jwk(KID).to_string().into_bytes(),
        ];
        for secret in secrets {
            let header = json!({"alg": "HS256", "kid": KID}).to_string();
            let message = format!("{}.{}", b64(header), b64(claims().to_string()));
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            let mac = ring::hmac::sign(&key, message.as_bytes());
            let token = format!("{message}.{}", b64(mac.as_ref()));
            let outcome = auth.authenticate(&token, at(NOW)).await;
            assert_eq!(reason(outcome, "HMAC"), OTHER_ALG);
        }
    }
}

/// Sets a bit that decodes to nothing: the lowest of the last character.

#[tokio::test]
async fn signature_covers_every_bit_of_header_and_claims() {
    let cases = |signer: &Signer| {
        let good = signer.token(&claims());
        let [h, c, s] = parts(&good);
        let signature = signer.sign(&format!("{h}.{c}"));
        let length = signature.len();
        let der = [
            &[0x30, 0x44, 0x02, 0x20][..],
            &[1; 32],
            &[0x02, 0x20],
            &[1; 32],
        ]
        .concat();
        let mut zero_s = signature.clone();
        zero_s[length / 2..].fill(0);
        let mut zero_r = signature.clone();
        zero_r[..length / 2].fill(0);
        let other = signer.token(&with(claims(), "sub", json!("2")));
        let stronger = b64(with(claims(), "sub", json!("admin")).to_string());
        let mut cases = vec![
            ("zeros", vec![0; length]),
            ("ones", vec![0xff; length]),
            ("r = 0", zero_r),
            ("s = 0", zero_s),
            ("DER", der),
            ("one byte", vec![0]),
            ("shorter", signature[..length - 1].to_vec()),
            ("longer", [&signature[..], &[0]].concat()),
            ("a zero before", [&[0][..], &signature].concat()),
            ("twice", [&signature[..], &signature].concat()),
            ("reversed", signature.iter().rev().copied().collect()),
        ];
        for bit in 0..24 {
            let mut flipped = signature.clone();
            flipped[(bit * 7) % length] ^= 1 << (bit % 8);
            cases.push(("one bit flipped", flipped));
        }
        let mut cases: Vec<Case> = cases
            .into_iter()
            .map(|(name, signature)| {
                (
                    name.to_owned(),
                    format!("{h}.{c}.{}", b64(signature)),
                    SIGNATURE,
                )
            })
            .collect();
        let elsewhere = parts(&other)[2].clone();
        cases.push((
            "another token's".into(),
            format!("{h}.{c}.{elsewhere}"),
            SIGNATURE,
        ));
        cases.push((
            "over other claims".into(),
            format!("{h}.{stronger}.{s}"),
            SIGNATURE,
        ));
        let untyped = b64(with(signer.header(), "typ", Value::Null).to_string());
        cases.push((
            "over another header".into(),
            format!("{untyped}.{c}.{s}"),
            SIGNATURE,
        ));
        cases
    };
    all_are_refused(cases, 35).await;
}
