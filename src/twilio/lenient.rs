//! Where Twilio's JSON is looser than what it means: `null` for "nothing set" in members that always have a value here.
//!
//! Twilio's published schemas call every member nullable. Members whose absence means something stay `Option` in the
//! resource; these are the others.

use serde::{Deserialize, Deserializer};

/// The attributes of a resource that has none: Twilio says `"{}"`, an empty text or `null`.
pub(super) fn attributes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).unwrap_or_else(no_attributes))
}

pub(super) fn no_attributes() -> String {
    "{}".to_owned()
}

/// `null` as the type's empty value.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
