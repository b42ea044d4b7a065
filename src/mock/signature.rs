//! Signatures the mock makes: `X-Twilio-Signature` of webhooks, and those of temporary media addresses.
//!
//! Source: <https://www.twilio.com/docs/usage/security#validating-requests>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::mock::sid::Sid;

/// The signature of a form posted to `url`: names in bytewise order, the distinct values of a repeated name sorted.
pub(crate) fn sign_form(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut pairs: Vec<(&str, &str)> =
        params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let signed = pairs.into_iter().flat_map(|(name, value)| [name, value]);
    sign(auth_token, std::iter::once(without_fragment(url)).chain(signed))
}

/// The signature of a GET, whose fields are in the query of `url`.
pub(crate) fn sign_url(auth_token: &str, url: &str) -> String {
    sign(auth_token, std::iter::once(without_fragment(url)))
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

fn sign<'a>(key: &str, parts: impl Iterator<Item = &'a str>) -> String {
    STANDARD.encode(hmac_sha1(key, parts))
}

fn hmac_sha1<'a>(key: &str, parts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().to_vec()
}

/// What a temporary media address is signed with.
pub(crate) fn sign_download(auth_token: &str, media_sid: Sid, expires: i64) -> String {
    let text = format!("{media_sid}?{expires}");
    URL_SAFE_NO_PAD.encode(hmac_sha1(auth_token, std::iter::once(text.as_str())))
}

/// Whether `signature` is that of a JWT's first two parts, `signed`, by HS256.
pub(crate) fn is_jwt_signature(secret: &str, signed: &str, signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).is_ok()
}

/// Compares without telling by its duration how much was right.
pub(crate) fn constant_time_eq(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(params: &[(&str, &str)]) -> Vec<(String, String)> {
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Vectors of Twilio's own validators (twilio-python `tests/unit/test_request_validator.py`, twilio-java).
    #[test]
    fn forms_are_signed_as_twilios_validators_expect() {
        let call = pairs(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ]);
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(sign_form("12345", url, &call), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert_eq!(sign_form("12345", &format!("{url}#rc=2"), &call), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let repeated = pairs(&[
            ("Sid", "CA123"),
            ("SidAccount", "AC123"),
            ("Digits", "5678"),
            ("Digits", "1234"),
            ("Digits", "1234"),
        ]);
        assert_eq!(sign_form("12345", url, &repeated), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
    }

    /// The token of twilio-python's `AccessToken`.
    #[test]
    fn a_token_of_twilios_library_is_recognised() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/twilio");
        let vector = std::fs::read_to_string(format!("{folder}/access_token_vector.json")).unwrap();
        let vector: serde_json::Value = serde_json::from_str(&vector).unwrap();
        let token = vector["token"].as_str().unwrap();
        let secret = vector["api_key_secret"].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert!(is_jwt_signature(secret, signed, signature));
        assert!(!is_jwt_signature("other", signed, signature));
        assert!(!is_jwt_signature(secret, &signed[1..], signature));
    }

    /// Every sample form, signed by another implementation.
    #[test]
    fn the_sample_forms_are_signed_as_recorded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/twilio");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let recorded: serde_json::Value =
            serde_json::from_str(&read("webhook_form_signatures.json")).unwrap();
        let (token, url) = (recorded["auth_token"].as_str().unwrap(), recorded["url"].as_str().unwrap());
        let signatures = recorded["signatures"].as_object().unwrap();
        assert!(signatures.len() > 20);
        for (name, signature) in signatures {
            let form = read(&format!("webhooks/{name}"));
            let params: Vec<_> = form_urlencoded::parse(form.trim_end().as_bytes()).into_owned().collect();
            assert_eq!(&sign_form(token, url, &params), signature.as_str().unwrap(), "{name}");
        }
    }
}
