//! Which tokens make a principal, what the principal may do, and when the token ends.

use bytepass::auth::{Algorithm, AuthError, MintRequest, mint_hs256};
use bytepass::config::IssuerKeys;
use bytepass::domain::principal::{FieldPattern, Scope};
use serde_json::{Value, json};

use crate::support::token_signers::*;

#[tokio::test]
async fn valid_token_of_each_algorithm_makes_a_principal() {
    for signer in Signer::all() {
        let principal = trusting(&signer)
            .authenticate(&signer.token(&claims()), at(NOW))
            .await
            .unwrap();
        assert_eq!(principal.issuer, "shop");
        assert_eq!(principal.subject, "1");
        assert_eq!(principal.owner, "user:1");
        assert_eq!(principal.fields, None);
    }
}

#[tokio::test]
async fn scopes_are_cut_to_the_issuers_ceiling_and_unknown_ones_are_ignored() {
    let signer = Signer::new(Algorithm::HS256);
    let auth = trusting(&signer);
    let cases = [
        (
            json!("ops uploads:write openid uploads:confirm uploads:write"),
            vec![Scope::UploadsWrite, Scope::UploadsConfirm],
        ),
        (json!("ops"), vec![]),
        (json!(""), vec![]),
        (Value::Null, vec![]),
        (json!("uploads:write"), vec![Scope::UploadsWrite]),
        (json!("Uploads:Write uploads:writ"), vec![]),
    ];
    for (scope, expected) in cases {
        let token = signer.token(&with(claims(), "scope", scope.clone()));
        let principal = auth.authenticate(&token, at(NOW)).await.unwrap();
        assert_eq!(principal.scopes, expected, "{scope}");
    }
}

#[tokio::test]
async fn fields_claim_narrows_a_principal() {
    let signer = Signer::new(Algorithm::HS256);
    let token = signer.token(&with(
        claims(),
        "fields",
        json!(["Product.image", "Order.*"]),
    ));
    let principal = trusting(&signer)
        .authenticate(&token, at(NOW))
        .await
        .unwrap();
    let expected = ["Product.image", "Order.*"].map(|it| FieldPattern::parse(it).unwrap());
    assert_eq!(principal.fields, Some(expected.into()));
}

#[tokio::test]
async fn empty_fields_claim_allows_no_field() {
    let signer = Signer::new(Algorithm::HS256);
    let token = signer.token(&with(claims(), "fields", json!([])));
    let principal = trusting(&signer)
        .authenticate(&token, at(NOW))
        .await
        .unwrap();
    assert_eq!(principal.fields, Some(vec![]));
}

#[tokio::test]
async fn harmless_variations_of_a_token_are_accepted() {
    let signer = Signer::new(Algorithm::ES256);
    let auth = trusting(&signer);
    let c = claims;
    let h = || signer.header();
    let variations = [
        (h(), with(c(), "aud", json!(["other", AUD]))),
        (h(), with(c(), "exp", json!(NOW as f64 + 3600.5))),
        (h(), with(c(), "iat", Value::Null)),
        (h(), with(c(), "iat", json!(NOW + 30))),
        (h(), with(c(), "nbf", json!(NOW + 30))),
        (h(), with(c(), "sub", json!("ü".repeat(100)))),
        (h(), with(c(), "extra", json!({"deep": [1, {"a": null}]}))),
        (h(), with(c(), "exp", json!(NOW + 86_400))),
        (with(h(), "typ", Value::Null), c()),
        (with(h(), "typ", json!("AT+jwt")), c()),
        (with(h(), "typ", json!("jwt")), c()),
        // The issuer has one key, so the id is not needed.
        (with(h(), "kid", Value::Null), c()),
        (with(h(), "x5t", json!("abc")), c()),
    ];
    for (header, claims) in variations {
        let token = signer.raw(&header.to_string(), &claims.to_string());
        let outcome = auth.authenticate(&token, at(NOW)).await;
        assert!(outcome.is_ok(), "{header} {claims}: {outcome:?}");
    }
}

#[tokio::test]
async fn missing_token_has_its_own_error() {
    let auth = trusting(&Signer::new(Algorithm::HS256));
    assert_eq!(
        auth.authenticate("", at(NOW)).await,
        Err(AuthError::Missing)
    );
}

#[tokio::test]
async fn clock_difference_up_to_the_leeway_is_accepted() {
    for signer in Signer::all() {
        let token = signer.token(&with(claims(), "nbf", json!(NOW)));
        // A fresh authenticator for each time, so that nothing is cached.
        for (now, good) in [
            (NOW - 31, false),
            (NOW - 30, true),
            (NOW + 3600 + 29, true),
            (NOW + 3600 + 30, false),
            (NOW - 7200, false),
            (NOW + 3600 + 7200, false),
        ] {
            let outcome = trusting(&signer).authenticate(&token, at(now)).await;
            assert_eq!(outcome.is_ok(), good, "at {}: {outcome:?}", now - NOW);
        }
    }
}

#[tokio::test]
async fn lifetime_is_capped_with_and_without_iat() {
    let signer = Signer::new(Algorithm::HS256);
    let auth = trusting(&signer);
    let day = 86_400;
    for (iat, exp, good) in [
        (json!(NOW), NOW + day, true),
        (json!(NOW), NOW + day + 1, false),
        (json!(NOW - 100), NOW + day - 99, false),
        (Value::Null, NOW + day + 30, true),
        (Value::Null, NOW + day + 31, false),
        (json!(-1e300), NOW + 1, false),
    ] {
        let token = signer.token(&with(with(claims(), "iat", iat.clone()), "exp", json!(exp)));
        let outcome = auth.authenticate(&token, at(NOW)).await;
        assert_eq!(outcome.is_ok(), good, "iat {iat}, exp {exp}: {outcome:?}");
    }
}

#[tokio::test]
async fn cached_token_is_refused_after_it_has_expired() {
    for signer in Signer::all() {
        let auth = trusting(&signer);
        let token = signer.token(&with(claims(), "exp", json!(NOW + 5)));
        let first = auth.authenticate(&token, at(NOW)).await.unwrap();
        let again = auth.authenticate(&token, at(NOW + 1)).await.unwrap();
        assert!(
            std::sync::Arc::ptr_eq(&first, &again),
            "it was not remembered"
        );
        let late = auth.authenticate(&token, at(NOW + 5 + 30)).await;
        assert_eq!(reason(late, "expired"), "the token has expired");
        // With the clock set back, it is verified again.
        let early = auth.authenticate(&token, at(NOW - 3600)).await;
        assert_eq!(
            reason(early, "clock set back"),
            "the token was issued in the future"
        );
    }
}

#[tokio::test]
async fn token_is_cached_for_at_most_a_minute() {
    let signer = Signer::new(Algorithm::ES256);
    let auth = trusting(&signer);
    let token = signer.token(&claims());
    let first = auth.authenticate(&token, at(NOW)).await.unwrap();
    let within = auth.authenticate(&token, at(NOW + 59)).await.unwrap();
    let after = auth.authenticate(&token, at(NOW + 60)).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &within));
    assert!(!std::sync::Arc::ptr_eq(&first, &after));
    assert_eq!(first, after);
}

#[tokio::test]
async fn token_similar_to_a_cached_one_is_refused() {
    let signer = Signer::new(Algorithm::EdDSA);
    let auth = trusting(&signer);
    let token = signer.token(&claims());
    auth.authenticate(&token, at(NOW)).await.unwrap();
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", b64([7; 64]));
    for _ in 0..2 {
        let outcome = auth.authenticate(&forged, at(NOW)).await;
        assert_eq!(reason(outcome, "forged"), "the token's signature is wrong");
    }
}

#[tokio::test]
async fn token_of_one_issuer_is_refused_for_another() {
    let (one, two) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let mut second = options(two.source());
    second.name = "partner".to_owned();
    second.issuer = "https://partner.example".to_owned();
    second.owner_prefix = "partner:".to_owned();
    second.scopes = vec![Scope::Ops];
    let auth = authenticator(vec![options(one.source()), second]).unwrap();

    let partners = with(claims(), "iss", json!("https://partner.example"));
    let principal = auth
        .authenticate(&two.token(&partners), at(NOW))
        .await
        .unwrap();
    assert_eq!(principal.owner, "partner:1");
    assert_eq!(principal.scopes, [Scope::Ops]);
    for (signer, claims) in [(&one, partners), (&two, claims())] {
        let outcome = auth.authenticate(&signer.token(&claims), at(NOW)).await;
        assert_eq!(reason(outcome, "crossed"), "the token's signature is wrong");
    }
}

#[tokio::test]
async fn minted_token_is_valid() {
    let secret = SECRET.to_owned().into();
    let fields = ["Product.*".to_owned()];
    for kid in [None, Some("dev")] {
        let token = mint_hs256(
            &secret,
            &MintRequest {
                issuer: ISS,
                audience: AUD,
                subject: "42",
                scopes: &[Scope::UploadsWrite, Scope::Ops],
                fields: Some(&fields),
                kid,
                now: at(NOW),
                lifetime_secs: 600,
            },
        );
        let kid = kid.map(str::to_owned);
        let secret = SECRET.to_owned().into();
        let auth = authenticator(vec![options(IssuerKeys::Secret { kid, secret })]).unwrap();
        let principal = auth.authenticate(&token, at(NOW)).await.unwrap();
        assert_eq!(principal.owner, "user:42");
        assert_eq!(principal.scopes, [Scope::UploadsWrite]);
        assert_eq!(
            principal.fields,
            Some(vec![FieldPattern::Model("Product".to_owned())])
        );
        let late = auth.authenticate(&token, at(NOW + 630)).await;
        assert_eq!(reason(late, "late"), "the token has expired");
    }
}
