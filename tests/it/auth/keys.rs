//! The app's public keys: fetched, kept, replaced; and all that a token can try with them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use switchboard::auth::{Auth, AuthError, AuthSettings, Role, SignOuts};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{NOW, app_token, clock, identity, refused, settings, sign};

/// A key pair of the app's, as its identity provider has it.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    /// What everybody may know, in DER.
    public: Vec<u8>,
}

impl Signer {
    fn es256(kid: &'static str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        Self { kid, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(der.as_ref()), public }
    }

    fn rs256(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (der, public) = (pair.as_der().unwrap(), pair.public_key().as_ref().to_vec());
        // jsonwebtoken wants the key of PKCS #1, which PKCS #8 wraps in 26 bytes.
        let key = EncodingKey::from_rsa_der(&der.as_ref()[26..]);
        Self { kid, algorithm: Algorithm::RS256, key, public }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.into());
        serde_json::to_value(jwk).unwrap()
    }

    fn token(&self, kid: Option<&str>) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        let claims = json!({ "sub": "alice", "role": "admin", "exp": NOW + 3600 });
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

async fn publish(server: &MockServer, keys: &[Value]) {
    let set = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
    server.reset().await;
    Mock::given(method("GET")).respond_with(set).mount(server).await;
}

fn auth_with_keys_at(server: &MockServer) -> Auth {
    let jwks_url = Some(server.uri().parse().unwrap());
    Auth::new(AuthSettings { jwks_url, ..settings() }, clock(), SignOuts::default()).unwrap()
}

async fn fetches(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn public_keys_are_fetched_once_and_pinned_to_their_algorithm() {
    let (server, ec, rsa) = (MockServer::start().await, Signer::es256("ec"), Signer::rs256("rsa"));
    publish(&server, &[ec.jwk(), rsa.jwk(), json!({ "kty": "of the future", "kid": "x" })]).await;
    let auth = auth_with_keys_at(&server);

    let (one, two) = (ec.token(Some("ec")), rsa.token(Some("rsa")));
    let (one, two) = tokio::join!(auth.verify(&one), auth.verify(&two));
    assert_eq!(one.unwrap().role, Role::Admin);
    assert_eq!(two.unwrap().identity, identity("alice"));
    assert!(auth.verify(&ec.token(None)).await.is_ok(), "the only ES256 key");
    assert!(auth.verify(&app_token(json!({ "sub": "bob" }))).await.is_ok(), "HS256 beside them");

    refused(&auth, &ec.token(Some("rsa"))).await;
    refused(&auth, &Signer::es256("ec").token(Some("ec"))).await;
    // A public key is no secret: signing with its text as an HMAC key must not work.
    let header = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
    let claims = json!({ "sub": "mallory", "exp": NOW + 60 });
    refused(&auth, &sign(&header, &claims, rsa.jwk()["n"].as_str().unwrap())).await;
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn an_unknown_key_causes_one_fetch_in_thirty_seconds() {
    let (server, old, new) = (MockServer::start().await, Signer::es256("old"), Signer::es256("new"));
    publish(&server, &[old.jwk()]).await;
    let auth = auth_with_keys_at(&server);
    assert!(auth.verify(&old.token(Some("old"))).await.is_ok());

    publish(&server, &[old.jwk(), new.jwk()]).await;
    for _ in 0..5 {
        refused(&auth, &new.token(Some("new"))).await;
    }
    assert_eq!(fetches(&server).await, 0);

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert!(auth.verify(&new.token(Some("new"))).await.is_ok());
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn keys_serve_on_while_their_address_does_not_answer() {
    let (server, key) = (MockServer::start().await, Signer::es256("key"));
    let auth = auth_with_keys_at(&server);
    assert_eq!(auth.verify(&key.token(Some("key"))).await, Err(AuthError::Unavailable), "never answered");

    publish(&server, &[key.jwk()]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert!(auth.verify(&key.token(Some("key"))).await.is_ok());

    server.reset().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    assert!(auth.verify(&key.token(None)).await.is_ok(), "stale, and good enough");
    assert_eq!(auth.verify(&Signer::es256("other").token(Some("other"))).await, Err(AuthError::Unavailable));
    assert!(auth.verify(&key.token(Some("key"))).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_gives_no_keys() {
    let key = Signer::es256("key");
    for body in ["<html>", "{\"keys\":[]}", "[]", &" ".repeat(300 * 1024)] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_string(body);
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let auth = auth_with_keys_at(&server);
        assert_eq!(auth.verify(&key.token(Some("key"))).await, Err(AuthError::Unavailable));
    }
}

/// A token with this header and these claims, both as they are written, and this signature.
fn written(header: &str, claims: &Value, signature: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{signature}", encode(header), encode(&claims.to_string()))
}

#[tokio::test]
async fn a_public_key_is_no_secret_in_whatever_form() {
    let (server, rsa, ec) = (MockServer::start().await, Signer::rs256("rsa"), Signer::es256("ec"));
    publish(&server, &[rsa.jwk(), ec.jwk()]).await;
    let claims = json!({ "sub": "mallory", "role": "admin", "exp": NOW + 60 });
    let jwks_url = Some(server.uri().parse().unwrap());
    // Also where the app has no secret of its own to compare with.
    let only_keys = AuthSettings { jwt_secret: None, jwks_url, ..settings() };
    for auth in [auth_with_keys_at(&server), Auth::new(only_keys, clock(), SignOuts::default()).unwrap()] {
        assert!(auth.verify(&rsa.token(Some("rsa"))).await.is_ok());
        for signer in [&rsa, &ec] {
            let base64 = STANDARD.encode(&signer.public);
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
            let jwk = signer.jwk();
            let parts = ["n", "x", "y", "e"].iter().filter_map(|part| jwk[part].as_str().map(str::to_owned));
            let mut secrets: Vec<Vec<u8>> = parts.map(String::into_bytes).collect();
            secrets.extend([
                signer.public.clone(),
                base64.into_bytes(),
                pem.into_bytes(),
                jwk.to_string().into_bytes(),
            ]);
            for secret in secrets {
                let key = EncodingKey::from_secret(&secret);
                for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                    let header = Header { kid: Some(signer.kid.into()), ..Header::new(alg) };
                    refused(&auth, &jsonwebtoken::encode(&header, &claims, &key).unwrap()).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn no_algorithm_but_the_keys_own_is_taken() {
    let (server, rsa, ec) = (MockServer::start().await, Signer::rs256("rsa"), Signer::es256("ec"));
    publish(&server, &[rsa.jwk(), ec.jwk()]).await;
    let auth = auth_with_keys_at(&server);
    let claims = json!({ "sub": "mallory", "exp": NOW + 60 });
    for signer in [&rsa, &ec] {
        let token = signer.token(Some(signer.kid));
        assert!(auth.verify(&token).await.is_ok());
        let signature = token.rsplit('.').next().unwrap();
        for alg in [
            "none", "None", "NONE", "", "HS256", "hs256", "RS256 ", "RS384", "RS512", "PS256", "PS512",
            "ES384", "ES512", "EdDSA", "RSA1_5", "dir",
        ] {
            for signature in [signature, ""] {
                let header = json!({ "alg": alg, "kid": signer.kid }).to_string();
                refused(&auth, &written(&header, &claims, signature)).await;
            }
        }
        for header in [
            format!(r#"{{"alg":"{:?}","alg":"none","kid":"{}"}}"#, signer.algorithm, signer.kid),
            format!(r#"{{"alg":["{:?}"],"kid":"{}"}}"#, signer.algorithm, signer.kid),
            format!(r#"{{"alg":"{:?}","kid":["{}"]}}"#, signer.algorithm, signer.kid),
            r#"{"typ":"JWT"}"#.to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
        ] {
            refused(&auth, &written(&header, &claims, signature)).await;
        }
    }
}

#[tokio::test]
async fn a_token_cannot_bring_or_point_to_a_key() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let (ours, theirs) = (Signer::es256("key"), Signer::es256("key"));
    publish(&server, &[ours.jwk()]).await;
    publish(&elsewhere, &[theirs.jwk()]).await;
    let auth = auth_with_keys_at(&server);
    assert!(auth.verify(&ours.token(Some("key"))).await.is_ok());
    let claims = json!({ "sub": "mallory", "exp": NOW + 60 });
    let plain = Header { kid: Some("key".into()), ..Header::new(Algorithm::ES256) };
    let headers = [
        Header { jwk: Some(serde_json::from_value(theirs.jwk()).unwrap()), ..plain.clone() },
        Header { jku: Some(elsewhere.uri()), ..plain.clone() },
        Header { x5u: Some(elsewhere.uri()), ..plain.clone() },
        Header { jwk: Some(serde_json::from_value(theirs.jwk()).unwrap()), kid: None, ..plain.clone() },
        plain,
    ];
    for header in headers {
        refused(&auth, &jsonwebtoken::encode(&header, &claims, &theirs.key).unwrap()).await;
    }
    assert_eq!((fetches(&server).await, fetches(&elsewhere).await), (1, 0));
}

#[tokio::test]
async fn a_made_up_kid_finds_nothing_and_fetches_nothing() {
    let (server, key) = (MockServer::start().await, Signer::es256("key"));
    publish(&server, &[key.jwk()]).await;
    let auth = auth_with_keys_at(&server);
    assert!(auth.verify(&key.token(Some("key"))).await.is_ok());
    let long = "k".repeat(4096);
    let tricks = [
        "",
        " ",
        "KEY",
        "key ",
        "key\0",
        "../../../../etc/passwd",
        "/dev/null",
        "file:///dev/null",
        "http://127.0.0.1/",
        "' OR '1'='1",
        "key' UNION SELECT 'secret",
        "| sleep 5",
        "${jndi:ldap://x}",
        "0",
        "null",
        "kéy",
        &long,
    ];
    for kid in tricks {
        refused(&auth, &key.token(Some(kid))).await;
    }
    let flood: Vec<_> = (0..200).map(|number| key.token(Some(&format!("kid-{number}")))).collect();
    let answers = futures::future::join_all(flood.iter().map(|token| auth.verify(token))).await;
    assert!(answers.into_iter().all(|answer| answer == Err(AuthError::Invalid)));
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn keys_of_other_kinds_and_beyond_the_limit_are_passed_over() {
    let (server, first, last) = (MockServer::start().await, Signer::es256("first"), Signer::es256("last"));
    let secret = json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode("known to everybody") });
    let mut for_encryption = Signer::es256("enc").jwk();
    for_encryption["use"] = json!("enc");
    let mut of_another_algorithm = Signer::rs256("ps").jwk();
    of_another_algorithm["alg"] = json!("PS256");
    let mut keys =
        vec![secret, for_encryption, of_another_algorithm, json!("nonsense"), json!({}), first.jwk()];
    keys.extend((0..63).map(|_| Signer::es256("many").jwk()));
    keys.push(last.jwk());
    publish(&server, &keys).await;
    let auth = auth_with_keys_at(&server);
    assert!(auth.verify(&first.token(Some("first"))).await.is_ok());
    refused(&auth, &last.token(Some("last"))).await;
    let claims = json!({ "sub": "mallory", "exp": NOW + 60 });
    let header = Header { kid: Some("oct".into()), ..Header::new(Algorithm::HS256) };
    refused(&auth, &sign(&header, &claims, "known to everybody")).await;
    refused(&auth, &first.token(None)).await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_opens_nothing_new() {
    let (server, old, new) = (MockServer::start().await, Signer::es256("old"), Signer::es256("new"));
    publish(&server, &[old.jwk(), new.jwk()]).await;
    let auth = auth_with_keys_at(&server);
    assert!(auth.verify(&old.token(Some("old"))).await.is_ok());
    publish(&server, &[new.jwk()]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11 * 60)).await;
    tokio::time::resume();
    // The first to come finds them old, and has them fetched beside the work.
    let claims = |sub: &str| json!({ "sub": sub, "exp": NOW + 60 });
    let header = Header { kid: Some("old".into()), ..Header::new(Algorithm::ES256) };
    let token = |sub: &str| jsonwebtoken::encode(&header, &claims(sub), &old.key).unwrap();
    let asked = AtomicUsize::new(0);
    crate::support::until("the withdrawal", || async {
        // Somebody new each time: who was let in is remembered for a while.
        let somebody = token(&format!("somebody-{}", asked.fetch_add(1, Ordering::Relaxed)));
        auth.verify(&somebody).await.is_err().then_some(())
    })
    .await;
    refused(&auth, &token("bob")).await;
    assert!(auth.verify(&new.token(Some("new"))).await.is_ok());
}
