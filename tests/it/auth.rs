//! Tokens of both issuers as strangers would send them: which are accepted, as whom, and which are not. Public keys are
//! `auth/keys.rs`.

mod keys;

use std::time::Duration;

use chrono::DateTime;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use switchboard::auth::{
    Auth, AuthError, AuthMode, AuthSettings, Caller, Identity, Issuer, LEEWAY, MAX_APP_LIFETIME, NewToken,
    Role, SignOuts, TwilioIssuer,
};
use switchboard::clock::Clock;

const NOW: i64 = 1_700_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ACCOUNT: &str = "AC00000000000000000000000000000001";
const API_KEY: &str = "SK00000000000000000000000000000001";
/// Of the vector in `fixtures/twilio/access_token_vector.json`.
const API_KEY_SECRET: &str = "secret";

fn clock() -> Clock {
    Clock::fixed(DateTime::from_timestamp(NOW, 0).unwrap())
}

fn settings() -> AuthSettings {
    AuthSettings {
        mode: AuthMode::Required,
        jwt_secret: Some(SECRET.into()),
        jwks_url: None,
        issuer: None,
        audience: None,
        max_lifetime: MAX_APP_LIFETIME,
        api_key: Some("the-back-ends-api-key".into()),
        twilio: TwilioIssuer {
            account_sid: ACCOUNT.into(),
            api_key_sid: API_KEY.into(),
            api_key_secret: API_KEY_SECRET.into(),
        },
    }
}

fn auth() -> Auth {
    Auth::new(settings(), clock(), SignOuts::default()).unwrap()
}

fn identity(text: &str) -> Identity {
    text.try_into().unwrap()
}

fn sign(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A token of the app, with `exp` in an hour unless the claims say otherwise.
fn app_token(mut claims: Value) -> String {
    let object = claims.as_object_mut().unwrap();
    object.entry("exp").or_insert(json!(NOW + 3600));
    sign(&Header::new(Algorithm::HS256), &claims, SECRET)
}

fn twilio_header() -> Header {
    Header { cty: Some("twilio-fpa;v=1".into()), ..Header::new(Algorithm::HS256) }
}

fn twilio_claims() -> Value {
    json!({
        "iss": API_KEY, "sub": ACCOUNT, "exp": NOW + 3600, "nbf": NOW,
        "grants": { "identity": "alice", "chat": { "service_sid": "IS00000000000000000000000000000001" } },
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

async fn refused(auth: &Auth, token: &str) {
    assert_eq!(auth.verify(token).await, Err(AuthError::Invalid), "{token}");
}

#[tokio::test]
async fn the_token_twilios_own_library_makes_is_accepted() {
    let vector: Value =
        serde_json::from_str(include_str!("../../fixtures/twilio/access_token_vector.json")).unwrap();
    let verified = auth().verify(vector["token"].as_str().unwrap()).await.unwrap();
    assert_eq!(verified.identity, identity("alice@example.com"));
    assert_eq!(verified.role, Role::User);
    assert_eq!(verified.issuer, Issuer::TwilioAccessToken);
    assert_eq!(verified.expires_at.timestamp(), NOW + 3600);
}

#[tokio::test]
async fn a_twilio_token_never_makes_an_admin() {
    let claims = with(with(twilio_claims(), "role", json!("admin")), "roles", json!(["super_admin"]));
    let verified = auth().verify(&sign(&twilio_header(), &claims, API_KEY_SECRET)).await.unwrap();
    assert_eq!(verified.role, Role::User);
}

#[tokio::test]
async fn a_twilio_token_of_another_key_account_or_kind_is_refused() {
    let auth = auth();
    let sign = |claims: &Value| sign(&twilio_header(), claims, API_KEY_SECRET);
    refused(&auth, &sign(&with(twilio_claims(), "iss", json!("SK00000000000000000000000000000002")))).await;
    refused(&auth, &sign(&with(twilio_claims(), "iss", Value::Null))).await;
    refused(&auth, &sign(&with(twilio_claims(), "sub", json!("AC00000000000000000000000000000002")))).await;
    refused(&auth, &sign(&with(twilio_claims(), "grants", json!({})))).await;
    refused(&auth, &sign(&with(twilio_claims(), "exp", json!(NOW + 24 * 3600 + 60)))).await;
    // The app's secret proves nothing about Twilio, nor Twilio's key about the app.
    refused(&auth, &self::sign(&twilio_header(), &twilio_claims(), SECRET)).await;
    refused(&auth, &self::sign(&Header::new(Algorithm::HS256), &twilio_claims(), API_KEY_SECRET)).await;
    let app_claims = json!({ "sub": "alice", "role": "admin", "exp": NOW + 60 });
    refused(&auth, &self::sign(&Header::new(Algorithm::HS256), &app_claims, API_KEY_SECRET)).await;
    let other = Header { cty: Some("JWT".into()), ..Header::new(Algorithm::HS256) };
    refused(&auth, &self::sign(&other, &app_claims, SECRET)).await;
    refused(
        &auth,
        &self::sign(&Header { alg: Algorithm::HS512, ..twilio_header() }, &twilio_claims(), API_KEY_SECRET),
    )
    .await;
}

#[tokio::test]
async fn the_apps_identity_is_sub_else_the_first_of_the_others() {
    let auth = auth();
    for (claims, expected) in [
        (json!({ "sub": "s", "user_id": "u" }), "s"),
        (json!({ "user_id": "u", "userId": "v", "id": "i", "customer_id": "c" }), "u"),
        (json!({ "userId": "v", "id": "i", "customer_id": "c" }), "v"),
        (json!({ "id": 42, "customer_id": "c" }), "42"),
        (json!({ "sub": "", "id": null, "customer_id": "c" }), "c"),
    ] {
        let verified = auth.verify(&app_token(claims.clone())).await.unwrap();
        assert_eq!(verified.identity, identity(expected), "{claims}");
        assert_eq!(verified.issuer, Issuer::App);
    }
    for claims in [json!({}), json!({ "sub": "  " }), json!({ "sub": "a\nb" }), json!({ "id": 1.5 })] {
        refused(&auth, &app_token(claims)).await;
    }
}

#[tokio::test]
async fn roles_come_from_any_of_the_four_claims() {
    let auth = auth();
    for (claims, expected) in [
        (json!({ "sub": "a" }), Role::User),
        (json!({ "sub": "a", "role": "user", "type": "access" }), Role::User),
        (json!({ "sub": "a", "role": "admin" }), Role::Admin),
        (json!({ "sub": "a", "roles": ["user", "super_admin"] }), Role::Admin),
        (json!({ "sub": "a", "type": "admin" }), Role::Admin),
        (json!({ "sub": "a", "user_type": "super_admin", "role": "service" }), Role::Admin),
        (json!({ "sub": "a", "role": "service" }), Role::Service),
        (json!({ "sub": "a", "role": { "admin": true } }), Role::User),
        (json!({ "sub": "a", "role": "administrator" }), Role::User),
    ] {
        assert_eq!(auth.verify(&app_token(claims.clone())).await.unwrap().role, expected, "{claims}");
    }
}

#[tokio::test]
async fn a_token_of_the_app_tells_a_profile() {
    let claims = json!({
        "sub": "alice", "name": "Alice", "avatar": "https://a.example/1.png", "email": "alice@example.com",
        "phone_number": 7_911_123_456_i64, "country_code": "+44", "bio": "",
    });
    let profile = auth().verify(&app_token(claims)).await.unwrap().profile;
    assert_eq!(profile.name.as_deref(), Some("Alice"));
    assert_eq!(profile.picture.as_deref(), Some("https://a.example/1.png"));
    assert_eq!(profile.email.as_deref(), Some("alice@example.com"));
    assert_eq!(profile.phone_number.as_deref(), Some("7911123456"));
    assert_eq!(profile.country_code.as_deref(), Some("+44"));
    assert_eq!((profile.bio, profile.kind), (None, None));
    for (claims, kind) in [
        (json!({ "sub": "alice", "user_type": "vip" }), Some("vip")),
        (json!({ "sub": "alice", "user_type": "user", "type": "premium" }), Some("premium")),
        (json!({ "sub": "alice", "type": "admin" }), None),
    ] {
        assert_eq!(auth().verify(&app_token(claims)).await.unwrap().profile.kind.as_deref(), kind);
    }
}

#[tokio::test]
async fn times_are_checked_with_a_leeway_of_thirty_seconds() {
    let auth = auth();
    let accepted = |claims: Value| {
        let (auth, token) = (auth.clone(), app_token(claims));
        async move { auth.verify(&token).await.is_ok() }
    };
    assert!(accepted(json!({ "sub": "a", "exp": NOW - 29 })).await);
    assert!(!accepted(json!({ "sub": "a", "exp": NOW - 30 })).await);
    assert!(accepted(json!({ "sub": "a", "nbf": NOW + 30 })).await);
    assert!(!accepted(json!({ "sub": "a", "nbf": NOW + 31 })).await);
    assert!(!accepted(json!({ "sub": "a", "exp": null })).await);
    assert!(!accepted(json!({ "sub": "a", "exp": "tomorrow" })).await);
    assert!(accepted(json!({ "sub": "a", "exp": NOW as f64 + 60.5 })).await);
    assert!(accepted(json!({ "sub": "a", "exp": NOW + 30 * 24 * 3600 })).await);
    assert!(!accepted(json!({ "sub": "a", "exp": NOW + 31 * 24 * 3600 })).await);
    assert!(!accepted(json!({ "sub": "a", "exp": 1e300 })).await);
}

#[tokio::test]
async fn a_remembered_token_expires_all_the_same() {
    let clock = clock();
    let auth = Auth::new(settings(), clock.clone(), SignOuts::default()).unwrap();
    let token = app_token(json!({ "sub": "alice", "exp": NOW + 60 }));
    assert!(auth.verify(&token).await.is_ok());
    clock.advance(Duration::from_secs(89));
    assert!(auth.verify(&token).await.is_ok());
    clock.advance(Duration::from_secs(1));
    refused(&auth, &token).await;
}

#[tokio::test]
async fn forged_and_malformed_tokens_are_refused() {
    let auth = auth();
    let token = app_token(json!({ "sub": "alice" }));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    for forged in [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{signed}.{}", "A".repeat(signature.len())),
        format!("{token}.{signature}"),
        format!(" {token}"),
        String::new(),
        "..".into(),
        "undefined".into(),
        "é.é.é".into(),
        "a".repeat(100_000),
        sign(&Header::new(Algorithm::HS256), &json!({ "sub": "alice", "exp": NOW + 60 }), "another secret"),
        sign(&Header::new(Algorithm::HS512), &json!({ "sub": "alice", "exp": NOW + 60 }), SECRET),
        sign(
            &Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::HS256) },
            &json!({ "sub": "alice", "exp": NOW + 60 }),
            SECRET,
        ),
    ] {
        refused(&auth, &forged).await;
    }
    assert!(auth.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, KeyInit, Mac};
    let payload = format!(r#"{{"sub":"alice","exp":{},"sub":"bob"}}"#, NOW + 60);
    let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(payload));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    refused(&auth(), &format!("{signed}.{signature}")).await;
}

#[tokio::test]
async fn issuer_and_audience_are_demanded_when_set() {
    let settings = AuthSettings {
        issuer: Some("https://login.example.com/".into()),
        audience: Some("switchboard".into()),
        ..settings()
    };
    let auth = Auth::new(settings, clock(), SignOuts::default()).unwrap();
    let right =
        json!({ "sub": "alice", "iss": "https://login.example.com/", "aud": ["other", "switchboard"] });
    assert!(auth.verify(&app_token(right.clone())).await.is_ok());
    refused(&auth, &app_token(with(right.clone(), "iss", json!("https://login.example.com")))).await;
    refused(&auth, &app_token(with(right.clone(), "iss", Value::Null))).await;
    refused(&auth, &app_token(with(right.clone(), "aud", json!("other")))).await;
    refused(&auth, &app_token(with(right, "aud", Value::Null))).await;
}

#[tokio::test]
async fn an_app_may_be_called_like_the_beginning_of_an_api_key() {
    for issuer in ["SKYLINE", "SK", "https://sk.example", "SK0000000000000000000000000000000x"] {
        let token = app_token(json!({ "sub": "alice", "iss": issuer }));
        assert_eq!(auth().verify(&token).await.unwrap().identity, identity("alice"), "{issuer}");
    }
    refused(&auth(), &app_token(json!({ "sub": "alice", "iss": API_KEY }))).await;
}

#[tokio::test]
async fn a_minted_token_says_what_it_was_asked_to() {
    let settings = AuthSettings { issuer: Some("us".into()), audience: Some("them".into()), ..settings() };
    let auth = Auth::new(settings, clock(), SignOuts::default()).unwrap();
    let mut token = NewToken {
        identity: identity("carol"),
        role: Role::Admin,
        name: Some("Carol".into()),
        ttl: Duration::from_secs(90),
    };
    let verified = auth.verify(&auth.mint(&token).unwrap()).await.unwrap();
    assert_eq!(verified.identity, identity("carol"));
    assert_eq!(verified.role, Role::Admin);
    assert_eq!(verified.profile.name.as_deref(), Some("Carol"));
    assert_eq!(verified.expires_at.timestamp(), NOW + 90);
    token.ttl = Duration::MAX;
    assert!(auth.mint(&token).is_err());
}

#[tokio::test]
async fn callers_are_told_apart() {
    let required = auth();
    let optional =
        Auth::new(AuthSettings { mode: AuthMode::Optional, ..settings() }, clock(), SignOuts::default())
            .unwrap();
    let token = app_token(json!({ "sub": "alice" }));
    let alice = Caller::Known { identity: identity("alice"), role: Role::User };
    let key = Some("the-back-ends-api-key");

    assert_eq!(required.caller(None, None).await, Err(AuthError::Missing));
    assert_eq!(optional.caller(None, None).await, Ok(Caller::Anonymous));
    for auth in [&required, &optional] {
        assert_eq!(auth.caller(Some(&token), None).await, Ok(alice.clone()));
        assert_eq!(auth.caller(Some("wrong"), None).await, Err(AuthError::Invalid));
        assert_eq!(auth.caller(None, key).await, Ok(Caller::Service));
        assert_eq!(auth.caller(Some(&token), key).await, Ok(Caller::Service));
        assert_eq!(auth.caller(Some(&token), Some("wrong")).await, Err(AuthError::Invalid));
        assert_eq!(auth.caller(None, Some("")).await, Err(AuthError::Invalid));
    }
    let without_key =
        Auth::new(AuthSettings { api_key: None, ..settings() }, clock(), SignOuts::default()).unwrap();
    assert_eq!(without_key.caller(Some(&token), key).await, Ok(alice));
    assert_eq!(without_key.caller(None, key).await, Err(AuthError::Missing));
}

#[tokio::test]
async fn an_empty_secret_signs_nothing() {
    let claims = json!({ "sub": "mallory", "role": "admin", "exp": NOW + 60 });
    // jsonwebtoken signs with an empty key as with any other.
    let token = sign(&Header::new(Algorithm::HS256), &claims, "");
    for jwt_secret in [None, Some("".into()), Some(SECRET.into())] {
        let auth =
            Auth::new(AuthSettings { jwt_secret, ..settings() }, clock(), SignOuts::default()).unwrap();
        refused(&auth, &token).await;
    }
}

#[tokio::test]
async fn a_token_for_another_end_is_no_proof_of_who_one_is() {
    let auth = auth();
    let token = |typ: Option<&str>| {
        let header = Header { typ: typ.map(str::to_owned), ..Header::new(Algorithm::HS256) };
        sign(&header, &json!({ "sub": "alice", "exp": NOW + 60 }), SECRET)
    };
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+JWT")] {
        assert!(auth.verify(&token(typ)).await.is_ok(), "{typ:?}");
    }
    for typ in ["", "logout+jwt", "secevent+jwt", "dpop+jwt", "JWE", "JWT ", "none"] {
        refused(&auth, &token(Some(typ))).await;
    }
}

#[tokio::test]
async fn a_token_of_the_future_or_of_a_decade_is_refused() {
    let auth = auth();
    for claims in [
        json!({ "sub": "a", "nbf": NOW + 3600 }),
        json!({ "sub": "a", "iat": NOW + 31 }),
        json!({ "sub": "a", "iat": "yesterday" }),
        json!({ "sub": "a", "exp": NOW + 10 * 365 * 24 * 3600 }),
        json!({ "sub": "a", "exp": i64::MAX }),
        json!({ "sub": "a", "exp": -1 }),
        json!({ "sub": "a", "exp": true }),
        json!({ "sub": "a", "exp": [NOW + 60] }),
    ] {
        refused(&auth, &app_token(claims)).await;
    }
    assert!(auth.verify(&app_token(json!({ "sub": "a", "iat": NOW + 30, "nbf": NOW }))).await.is_ok());
}

#[tokio::test]
async fn a_token_that_lives_too_long_is_refused_to_its_last_day() {
    let day = 24 * 3600;
    let a_day = Duration::from_secs(24 * 3600);
    let limited = AuthSettings { max_lifetime: a_day, ..settings() };
    for (settings, days) in [(settings(), 30), (limited, 1)] {
        let auth = Auth::new(settings, clock(), SignOuts::default()).unwrap();
        let verify = |iat: i64, exp: i64| {
            let (auth, token) = (auth.clone(), app_token(json!({ "sub": "a", "iat": iat, "exp": exp })));
            async move { auth.verify(&token).await.is_ok() }
        };
        assert!(verify(NOW, NOW + days * day).await);
        assert!(verify(NOW - days * day + 60, NOW + 60).await);
        assert!(!verify(NOW - days * day, NOW + 60).await);
        assert!(!verify(NOW - 3650 * day, NOW + 60).await);
        // A clock that is ahead by less than the leeway makes no token longer.
        assert!(!verify(NOW + 20, NOW + days * day + 31).await);
    }
    // Twilio's own libraries write `nbf`, or `iat`.
    for claim in ["iat", "nbf"] {
        let old = with(with(twilio_claims(), "nbf", Value::Null), claim, json!(NOW - 40 * day));
        refused(&auth(), &sign(&twilio_header(), &old, API_KEY_SECRET)).await;
    }
}

#[tokio::test]
async fn no_token_outlives_the_memory_of_a_sign_out() {
    let (clock, sign_outs) = (clock(), SignOuts::default());
    let auth = Auth::new(settings(), clock.clone(), sign_outs.clone()).unwrap();
    let day = 24 * 3600;
    let longest = app_token(json!({ "sub": "alice", "iat": NOW, "exp": NOW + 30 * day + 30 }));
    let longer = app_token(json!({ "sub": "alice", "iat": NOW, "exp": NOW + 60 * day }));
    assert!(auth.verify(&longest).await.is_ok());
    sign_outs.note("alice", clock.now());
    for _ in 0..70 {
        // As `core` does every ten minutes.
        sign_outs.forget_before(clock.now() - (MAX_APP_LIFETIME + 2 * LEEWAY));
        refused(&auth, &longest).await;
        refused(&auth, &longer).await;
        // The last second in which the longest would hold is looked at too.
        let next = clock.now() + Duration::from_secs(24 * 3600);
        let last = DateTime::from_timestamp(NOW + 30 * day + 59, 0).unwrap();
        let step = if clock.now() < last && last < next { last } else { next };
        clock.advance((step - clock.now()).to_std().unwrap());
    }
    assert!(sign_outs.note("alice", DateTime::UNIX_EPOCH), "forgotten by now");
}

#[tokio::test]
async fn who_is_nobody_or_a_guest_is_named_by_no_users_token() {
    let auth = auth();
    let guest = "guest_1765360800000_0123456789abcdefghijklmno0123456789abc";
    for name in
        ["system", "Admin", "support:7", "whatsapp:+15551230001", guest, "ali\u{200b}ce", "Zoe\u{308}"]
    {
        refused(&auth, &app_token(json!({ "sub": name }))).await;
        refused(&auth, &app_token(json!({ "sub": null, "customer_id": name }))).await;
    }
    // Those who run the service may be called what they like, but never as a guest.
    let admin = auth.verify(&app_token(json!({ "sub": "admin", "role": "admin" }))).await.unwrap();
    assert_eq!((admin.identity.as_str(), admin.role), ("admin", Role::Admin));
    refused(&auth, &app_token(json!({ "sub": guest, "role": "admin" }))).await;
    let grants = json!({ "identity": guest });
    refused(&auth, &sign(&twilio_header(), &with(twilio_claims(), "grants", grants), API_KEY_SECRET)).await;
}

#[tokio::test]
async fn what_stands_twice_anywhere_is_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, KeyInit, Mac};
    let auth = auth();
    let exp = NOW + 60;
    let plain = r#"{"alg":"HS256"}"#;
    for (header, claims) in [
        (r#"{"alg":"HS256","alg":"HS256"}"#, format!(r#"{{"sub":"alice","exp":{exp}}}"#)),
        (r#"{"alg":"HS256","kid":"a","kid":"b"}"#, format!(r#"{{"sub":"alice","exp":{exp}}}"#)),
        (plain, format!(r#"{{"sub":"alice","exp":1,"exp":{exp}}}"#)),
        (plain, format!(r#"{{"sub":"alice","exp":{exp},"role":"user","role":"admin"}}"#)),
        (plain, format!(r#"{{"iss":"a","iss":"b","sub":"alice","exp":{exp}}}"#)),
        (plain, format!(r#"{{"sub":"alice","exp":{exp},"\u0073ub":"bob"}}"#)),
    ] {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        refused(&auth, &format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))).await;
    }
}
