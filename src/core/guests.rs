//! Guests: people without an account who ask for support, known by an id that their client keeps.
//!
//! `guest_<unix ms>_<25 random characters><13 of their keyed hash>`: the random part cannot be guessed (129 bits), and the
//! hash says that we issued it, so that issuing one stores nothing and a flood of visitors fills no table. An id with a
//! conversation is known by that as well, whatever became of the key.

use rand::Rng;
use subtle::ConstantTimeEq;

use super::secret::Secret;
use super::{Core, Error};
use crate::auth::Identity;

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
    /// [`Error::Unavailable`] when it cannot be told.
    pub async fn guest(&self, presented: Option<&str>) -> Result<Identity, Error> {
        let known = match presented {
            Some(presented) => self.known_guest(presented).await?,
            None => None,
        };
        Ok(known.unwrap_or_else(|| self.new_guest()))
    }

    /// The guest with the id that a client `presented`, if it is one. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be told.
    pub async fn known_guest(&self, presented: &str) -> Result<Option<Identity>, Error> {
        if !is_well_formed(presented) {
            return Ok(None);
        }
        let believed = self.guests.any_id
            || is_ours(&self.secret, presented)
            || self.store.knows_guest(presented).await.map_err(|error| {
                tracing::warn!(%error, "it cannot be told whether a guest is known");
                Error::Unavailable { retry_after: None }
            })?;
        Ok(Identity::try_from(presented).ok().filter(|_| believed))
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
    let Some((_, tail)) = id.strip_prefix(Identity::GUEST_PREFIX).and_then(|rest| rest.split_once('_'))
    else {
        return false;
    };
    let Some((random, hash)) = tail.split_at_checked(RANDOM_CHARACTERS) else { return false };
    short_hash(secret, random).as_bytes().ct_eq(hash.as_bytes()).into()
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
            assert!(!is_ours(&secret, id), "{id}");
        }
    }

    #[test]
    fn the_form_of_a_clients_own_id_is_checked() {
        assert!(is_well_formed("test_guest_123") && is_well_formed("a1b2c3d4-0000"));
        for id in ["short_1", "", "with space", "guest.dot.dot", "gästgästgäst", &"x".repeat(65)] {
            assert!(!is_well_formed(id), "{id}");
        }
    }
}
