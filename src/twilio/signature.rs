//! Whether a webhook is Twilio's: `X-Twilio-Signature`, an HMAC over the URL Twilio called and what it sent there.
//!
//! The URL is the public one that is configured at Twilio, not what a proxy made of it; the caller knows it. What a genuine
//! webhook says is read in `webhook.rs`, and whether it was seen before is decided elsewhere.
//!
//! Source: <https://www.twilio.com/docs/usage/security#validating-requests> and Twilio's own libraries, which also accept a
//! signature over the URL with the port left out, or put in, and over either spelling of an apostrophe in its query.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::form;

/// Knows Twilio's signature from others'.
#[derive(Debug, Clone)]
pub struct Validator {
    auth_tokens: Vec<SecretString>,
}

impl Validator {
    /// Accepts what was signed with any of the account's auth tokens: while one is being replaced, there are two.
    pub fn new(auth_tokens: Vec<SecretString>) -> Self {
        Self { auth_tokens }
    }

    /// Whether `signature` is Twilio's for this form, posted to `url`. A body that is no form is not.
    pub fn accepts_form(&self, url: &str, body: &[u8], signature: &str) -> bool {
        form::parameters(body).is_ok_and(|parameters| self.accepts(url, &in_order(&parameters), signature))
    }

    /// Whether `signature` is Twilio's for this JSON, posted to `url`, whose query has the `bodySHA256` Twilio added.
    pub fn accepts_json(&self, url: &str, body: &[u8], signature: &str) -> bool {
        let hash = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let claimed = query_of(url).split('&').find_map(|pair| pair.strip_prefix("bodySHA256="));
        let is_of_body = claimed.is_some_and(|claimed| claimed.as_bytes().ct_eq(hash.as_bytes()).into());
        is_of_body && self.accepts(url, "", signature)
    }

    /// Whether `signature` is Twilio's for a GET of `url`.
    pub fn accepts_get(&self, url: &str, signature: &str) -> bool {
        self.accepts(url, "", signature)
    }

    fn accepts(&self, url: &str, parameters: &str, signature: &str) -> bool {
        let mut accepted = Choice::from(0);
        for url in spellings(url) {
            for token in &self.auth_tokens {
                accepted |=
                    sign(token.expose_secret(), &url, parameters).as_bytes().ct_eq(signature.as_bytes());
            }
        }
        accepted.into()
    }
}

/// The `X-Twilio-Signature` of a form with these parameters, posted to `url`.
pub fn sign_form<K: AsRef<str>, V: AsRef<str>>(auth_token: &str, url: &str, parameters: &[(K, V)]) -> String {
    sign(auth_token, without_fragment(url), &in_order(parameters))
}

fn sign(auth_token: &str, url: &str, parameters: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    mac.update(parameters.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Names and values without anything between: by name, and the distinct values of a name by value.
fn in_order<K: AsRef<str>, V: AsRef<str>>(parameters: &[(K, V)]) -> String {
    let distinct: BTreeSet<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    distinct.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// The ways Twilio may have spelled `url` when signing it, each once.
fn spellings(url: &str) -> BTreeSet<String> {
    let url = without_fragment(url);
    let mut spellings = BTreeSet::new();
    for port in [Port::AsGiven, Port::Left, Port::Put] {
        let url = with_port(url, port);
        let query_at = url.len() - query_of(&url).len();
        let (head, query) = url.split_at(query_at);
        spellings.insert(format!("{head}{}", query.replace('\'', "%27")));
        spellings.insert(format!("{head}{}", query.replace("%27", "'")));
        spellings.insert(url.into_owned());
    }
    spellings
}

#[derive(Clone, Copy)]
enum Port {
    AsGiven,
    Left,
    Put,
}

fn with_port(url: &str, port: Port) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let host = &authority[host_at..];
    // A colon inside brackets belongs to an IPv6 address.
    let port_at = host.rfind(':').filter(|at| !host[*at..].contains(']')).map(|at| host_at + at);
    match (port, port_at) {
        (Port::Left, Some(port_at)) => Cow::Owned(format!("{scheme}://{}{path}", &authority[..port_at])),
        (Port::Put, None) => {
            let standard = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            Cow::Owned(format!("{scheme}://{authority}:{standard}{path}"))
        }
        (Port::AsGiven, _) | (Port::Left, None) | (Port::Put, Some(_)) => Cow::Borrowed(url),
    }
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

fn query_of(url: &str) -> &str {
    without_fragment(url).split_once('?').map_or("", |(_, query)| query)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        let spelled = |url| spellings(url).into_iter().collect::<Vec<_>>();
        assert_eq!(spelled("https://a.example/x"), ["https://a.example/x", "https://a.example:443/x"]);
        assert_eq!(spelled("http://a.example?x#f"), ["http://a.example:80?x", "http://a.example?x"]);
        assert_eq!(
            spelled("https://u:p@a.example:8443/x"),
            ["https://u:p@a.example/x", "https://u:p@a.example:8443/x"]
        );
        assert_eq!(spelled("http://[::1]/x"), ["http://[::1]/x", "http://[::1]:80/x"]);
        assert_eq!(spelled("http://[::1]:3001/x"), ["http://[::1]/x", "http://[::1]:3001/x"]);
    }

    #[test]
    fn either_of_two_tokens_is_accepted_and_no_third() {
        let validator = Validator::new(vec!["old".into(), "new".into()]);
        let (url, form) = ("https://a.example/webhooks/twilio", b"Body=Hi".as_slice());
        for token in ["old", "new"] {
            assert!(validator.accepts_form(url, form, &sign_form(token, url, &[("Body", "Hi")])));
        }
        assert!(!validator.accepts_form(url, form, &sign_form("other", url, &[("Body", "Hi")])));
        assert!(!validator.accepts_form(url, form, ""));
        assert!(!Validator::new(vec![]).accepts_form(url, form, ""));
    }

    proptest! {
        #[test]
        fn no_text_panics(url in ".{0,64}", body in prop::collection::vec(any::<u8>(), 0..64), signature in ".{0,40}") {
            let validator = Validator::new(vec!["token".into()]);
            prop_assert!(!validator.accepts_form(&url, &body, &signature));
            prop_assert!(!validator.accepts_json(&url, &body, &signature));
            prop_assert!(!validator.accepts_get(&url, &signature));
        }

        #[test]
        fn a_form_signed_is_a_form_accepted(pairs in prop::collection::vec((".{1,8}", ".{0,16}"), 0..8)) {
            let url = "https://a.example/webhooks/twilio?x=it's";
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let signature = sign_form("token", url, &pairs);
            prop_assert!(Validator::new(vec!["token".into()]).accepts_form(url, body.as_bytes(), &signature));
        }
    }
}
