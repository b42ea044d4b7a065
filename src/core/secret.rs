//! [`Secret`]: keyed hashes under a secret that this service has anyway, so that nobody has to set another one.
//!
//! The key is the Twilio API key's secret. Whoever changes it makes open one-time codes and signed links to files useless;
//! guests stay known by their conversations. Tokens are `auth`'s business.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The key of our own hashes.
#[derive(Clone)]
pub(super) struct Secret(SecretString);

impl Secret {
    pub(super) fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The keyed hash of `parts`, in hex. Another `purpose` gives another hash.
    pub(super) fn hash(&self, purpose: &'static str, parts: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        for part in std::iter::once(&purpose).chain(parts) {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `hash` is the one that [`Secret::hash`] gives; how long that takes does not tell how much of it is right.
    pub(super) fn is_hash(&self, hash: &str, purpose: &'static str, parts: &[&str]) -> bool {
        self.hash(purpose, parts).as_bytes().ct_eq(hash.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_key_purpose_and_every_part() {
        let secret = Secret::new("key".into());
        let hash = secret.hash("codes", &["ab", "c"]);
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, secret.hash("codes", &["ab", "c"]));
        assert_ne!(hash, secret.hash("codes", &["a", "bc"]));
        assert_ne!(hash, secret.hash("guests", &["ab", "c"]));
        assert_ne!(hash, Secret::new("other".into()).hash("codes", &["ab", "c"]));

        assert!(secret.is_hash(&hash, "codes", &["ab", "c"]));
        assert!(!secret.is_hash(&hash, "guests", &["ab", "c"]));
        for wrong in ["", &hash[..63], &format!("{hash}0"), &hash.to_uppercase(), &hash.replace('a', "b")] {
            assert!(!secret.is_hash(wrong, "codes", &["ab", "c"]), "{wrong}");
        }
    }
}
