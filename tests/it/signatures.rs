//! Twilio's signatures and access tokens, against vectors that Twilio's own libraries made.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use switchboard::twilio::{AccessTokens, Validator, sign_form};

#[derive(Deserialize)]
struct Vectors {
    exact: Vec<Vector>,
    accept: Vec<Vector>,
    reject: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    auth_token: String,
    received_url: String,
    signed_url: Option<String>,
    params: Option<BTreeMap<String, Values>>,
    body: Option<String>,
    signature: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Vector {
    fn parameters(&self) -> Vec<(&str, &str)> {
        let params = self.params.iter().flatten();
        params
            .flat_map(|(name, values)| match values {
                Values::One(value) => vec![(name.as_str(), value.as_str())],
                Values::Several(values) => {
                    values.iter().map(|value| (name.as_str(), value.as_str())).collect()
                }
            })
            .collect()
    }

    fn is_accepted(&self) -> bool {
        let validator = Validator::new(vec![self.auth_token.as_str().into()]);
        match &self.body {
            Some(body) => validator.accepts_json(&self.received_url, body.as_bytes(), &self.signature),
            None => {
                let body =
                    form_urlencoded::Serializer::new(String::new()).extend_pairs(self.parameters()).finish();
                validator.accepts_form(&self.received_url, body.as_bytes(), &self.signature)
            }
        }
    }
}

fn fixture<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/twilio").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_vector_is_signed_as_twilio_signs_it() {
    let vectors: Vectors = fixture("signature_vectors.json");
    for vector in &vectors.exact {
        let url = vector.signed_url.as_deref().unwrap();
        assert_eq!(
            sign_form(&vector.auth_token, url, &vector.parameters()),
            vector.signature,
            "{}",
            vector.name
        );
    }
}

#[test]
fn every_vector_is_accepted_or_rejected_as_twilios_libraries_do() {
    let vectors: Vectors = fixture("signature_vectors.json");
    for vector in vectors.exact.iter().chain(&vectors.accept) {
        assert!(vector.is_accepted(), "{}", vector.name);
    }
    for vector in &vectors.reject {
        assert!(!vector.is_accepted(), "{}", vector.name);
    }
}

#[test]
fn a_signature_is_of_one_url_one_token_and_one_body() {
    let vectors: Vectors = fixture("signature_vectors.json");
    for mut vector in vectors.exact {
        let (token, url) = (vector.auth_token.clone(), vector.received_url.clone());
        vector.auth_token.push('6');
        assert!(!vector.is_accepted(), "{} with another token", vector.name);
        vector.auth_token = token;
        vector.received_url = url.replacen("mycompany", "yourcompany", 1);
        assert!(!vector.is_accepted(), "{} at another host", vector.name);
        vector.received_url = url;
        match &mut vector.body {
            Some(body) => body.push(' '),
            None => {
                let extra = ("Extra".to_owned(), Values::One("1".to_owned()));
                vector.params.get_or_insert_default().extend([extra]);
            }
        }
        assert!(!vector.is_accepted(), "{} with another body", vector.name);
    }
}

#[test]
fn every_webhook_form_has_the_signature_twilio_gives_it() {
    #[derive(Deserialize)]
    struct Signed {
        auth_token: String,
        url: String,
        signatures: BTreeMap<String, String>,
    }
    let signed: Signed = fixture("webhook_form_signatures.json");
    let validator = Validator::new(vec![signed.auth_token.as_str().into()]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/twilio/webhooks");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), signed.signatures.len());
    for (name, signature) in &signed.signatures {
        let form = std::fs::read(folder.join(name)).unwrap();
        let form = form.trim_ascii_end();
        assert!(validator.accepts_form(&signed.url, form, signature), "{name}");
        assert!(!validator.accepts_form(&signed.url, &form[1..], signature), "{name} cut short");
    }
}

#[test]
fn an_access_token_is_what_twilios_library_makes() {
    let vector: Value = fixture("access_token_vector.json");
    let (expected, secret) = (&vector["payload"], vector["api_key_secret"].as_str().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tokens = AccessTokens::new(
        text(&expected["sub"]).parse().unwrap(),
        text(&expected["iss"]).parse().unwrap(),
        &secret.into(),
        text(&expected["grants"]["chat"]["service_sid"]).parse().unwrap(),
    );
    let now = chrono::DateTime::from_timestamp(expected["nbf"].as_i64().unwrap(), 0).unwrap();
    let token = tokens.mint("alice@example.com", Duration::from_secs(3600), now);

    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let minted = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
    // Twilio's own token verifies by the same means, so what ours is held against is genuine.
    let genuine =
        jsonwebtoken::decode::<Value>(vector["token"].as_str().unwrap(), &key, &validation).unwrap();
    let mut payload = genuine.claims;
    assert_eq!(&payload, expected);
    // We register no device for push notifications.
    payload["grants"]["chat"].as_object_mut().unwrap().remove("push_credential_sid");
    assert_eq!(minted.claims, payload);
    assert_eq!(serde_json::to_value(&minted.header).unwrap(), vector["header"]);
}

#[test]
fn no_access_token_lives_longer_than_a_day() {
    let tokens = AccessTokens::new(
        "AC00000000000000000000000000000001".parse().unwrap(),
        "SK00000000000000000000000000000001".parse().unwrap(),
        &"secret".into(),
        "IS00000000000000000000000000000001".parse().unwrap(),
    );
    let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let token = tokens.mint("alice", Duration::MAX, now);
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(&token).unwrap().claims;
    assert_eq!(claims["exp"], 1_700_000_000 + 86_400);
}
