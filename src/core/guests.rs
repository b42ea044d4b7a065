//! Guests: people without an account who ask for support, known by an id that their client keeps.
//!
//! `guest_<unix ms>_<25 random characters><13 of their keyed hash>`: the random part cannot be guessed (129 bits), and the
//! hash says that we issued it, so that issuing one stores nothing and a flood of visitors fills no table. One with a
//! conversation is known by that as well, whatever became of the key. Ids that clients chose themselves count only where
//! nobody needs to prove anything, and there only if no person is called so.

use rand::Rng;
use subtle::ConstantTimeEq;

use super::secret::Secret;
use super::{Core, Error};
use crate::auth::Identity;
use crate::limits::Network;

/// Random characters of an id, of 36 each.
const RANDOM_CHARACTERS: usize = 25;
/// Characters of the keyed hash in it.
const HASH_CHARACTERS: usize = 13;
/// Characters an id may have that a client chose itself.
const CHARACTERS: std::ops::RangeInclusive<usize> = 8..=64;

/// Which guests are believed.
#[derive(Debug, Clone, Copy)]
pub struct GuestRules {
    /// Whether clients may choose ids themselves; else only ids we issued count.
    pub any_id: bool,
    /// Whether whoever knows the id of a guest's conversation may read and join it as that guest.
    pub capability: bool,
}

impl Core {
    /// The guest with the id that a client `presented`, or a new one where that is none or nobody's. No Twilio call.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] past `LIMIT_GUESTS` of where the client comes `from`, for a guest who is new;
    /// [`Error::Unavailable`] when it cannot be told.
    pub async fn guest(&self, from: Option<Network>, presented: Option<&str>) -> Result<Identity, Error> {
        let known = match presented {
            Some(presented) => self.known_guest(presented).await?,
            None => None,
        };
        let is_new = match &known {
            Some(guest) if is_ours(&self.secret, guest.as_str()) => false,
            Some(guest) => !self.has_asked(guest.as_str()).await.unwrap_or_default(),
            None => true,
        };
        if is_new {
            self.limits.guests.check(&from)?;
        }
        Ok(known.unwrap_or_else(|| self.new_guest()))
    }

    /// The guest with the id that a client `presented`, if it is one. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be told.
    pub async fn known_guest(&self, presented: &str) -> Result<Option<Identity>, Error> {
        let Some(guest) = Identity::try_from(presented).ok().filter(|_| is_well_formed(presented)) else {
            return Ok(None);
        };
        let believed = is_ours(&self.secret, presented)
            || (is_shaped_like_ours(presented) && self.has_asked(presented).await?)
            || (self.guests.any_id && (guest.is_guest() || self.profile(&guest).await?.is_none()));
        Ok(believed.then_some(guest))
    }

    /// Whether a guest has, or had, a support conversation.
    async fn has_asked(&self, guest: &str) -> Result<bool, Error> {
        self.store.knows_guest(guest).await.map_err(|error| {
            tracing::warn!(%error, "it cannot be told whether a guest is known");
            Error::Unavailable { retry_after: None }
        })
    }

    fn new_guest(&self) -> Identity {
        let millis = self.clock.now().timestamp_millis();
        let mut rng = rand::rng();
        let random = (0..RANDOM_CHARACTERS).map(|_| char::from_digit(rng.random_range(0..36), 36));
        let random: String = random.flatten().collect();
        let hash = short_hash(&self.secret, &random);
        Identity::try_from(format!("{}{millis}_{random}{hash}", Identity::GUEST_PREFIX))
            .expect("letters, digits and underscores are an identity")
    }
}

fn is_well_formed(id: &str) -> bool {
    CHARACTERS.contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether we issued the id: its hash fits.
fn is_ours(secret: &Secret, id: &str) -> bool {
    let Some((random, hash)) = parts(id) else { return false };
    short_hash(secret, random).as_bytes().ct_eq(hash.as_bytes()).into()
}

/// Whether we may have issued the id, perhaps under another key: no user is called so, and nobody guesses it.
fn is_shaped_like_ours(id: &str) -> bool {
    parts(id).is_some_and(|(_, hash)| hash.len() == HASH_CHARACTERS)
}

/// The random characters of an id, and the hash behind them.
fn parts(id: &str) -> Option<(&str, &str)> {
    let (_, tail) = id.strip_prefix(Identity::GUEST_PREFIX)?.split_once('_')?;
    tail.split_at_checked(RANDOM_CHARACTERS)
}

fn short_hash(secret: &Secret, random: &str) -> String {
    secret.hash("guests", &[random]).chars().take(HASH_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_issued_is_ours() {
        let secret = Secret::new("key".into());
        let random = "0123456789abcdefghijklmno";
        let hash = short_hash(&secret, random);
        assert!(is_ours(&secret, &format!("guest_1765360800000_{random}{hash}")));
        assert!(!is_ours(&secret, &format!("guest_1765360800000_{random}0{hash}")));
        assert!(!is_ours(&secret, &format!("guest_1765360800000_1{}{hash}", &random[1..])));
        assert!(!is_ours(&Secret::new("other".into()), &format!("guest_1_{random}{hash}")));
        for id in ["guest_1234567890_abc123", "guest_1_", "guest_", "alice", ""] {
            assert!(!is_ours(&secret, id) && !is_shaped_like_ours(id), "{id}");
        }
        assert!(is_shaped_like_ours(&format!("guest_1_{random}{hash}")));
        assert!(!is_shaped_like_ours(&format!("guest_1_{random}{hash}0")));
    }

    #[test]
    fn the_form_of_a_clients_own_id_is_checked() {
        assert!(is_well_formed("test_guest_123") && is_well_formed("a1b2c3d4-0000"));
        for id in ["short_1", "", "with space", "guest.dot.dot", "gästgästgäst", &"x".repeat(65)] {
            assert!(!is_well_formed(id), "{id}");
        }
    }
}
