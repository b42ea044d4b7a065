//! What goes over the wire, by the document's names. Here is what several shapes share; each kind of thing has its file,
//! queries are `queries.rs`.
//!
//! Lengths and forms are checked here, so that nothing reaches `core` that cannot be.

pub(super) mod conversations;
pub(super) mod groups;
pub(super) mod messages;
pub(super) mod people;

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Identity, InvalidIdentity};
use crate::core::{Error, Kind, Peer};

/// `2025-01-15T19:02:00Z`.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.trunc_subsecs(0).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An identity; mistakes name `field`.
pub(super) fn identity(field: &'static str, text: &str) -> Result<Identity, Error> {
    text.parse().map_err(|problem: InvalidIdentity| Error::invalid(field, problem.to_string()))
}

/// What everybody may know of a person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PersonOut {
    id: String,
    nickname: String,
    avatar: Option<String>,
    bio: Option<String>,
    is_online: bool,
    #[serde(flatten)]
    kind: KindOut,
}

impl PersonOut {
    fn of(peer: &Peer) -> Self {
        let profile = peer.profile.as_deref();
        Self {
            id: peer.identity.as_str().to_owned(),
            nickname: peer.name().to_owned(),
            avatar: avatar(peer),
            bio: profile.and_then(|profile| profile.bio.as_deref()).map(str::to_owned),
            is_online: peer.online,
            kind: KindOut::of(profile.and_then(|profile| profile.kind)),
        }
    }
}

fn avatar(peer: &Peer) -> Option<String> {
    peer.profile.as_deref().and_then(|profile| profile.avatar.as_deref()).map(str::to_owned)
}

/// A user type with its icon; all null for somebody of none.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KindOut {
    #[serde(rename = "type")]
    name: Option<&'static str>,
    type_icon: Option<&'static str>,
    type_icon_color: Option<&'static str>,
}

impl KindOut {
    fn of(kind: Option<Kind>) -> Self {
        let Some(kind) = kind else { return Self::default() };
        let (icon, color) = match kind {
            Kind::Premium => ("P", "pink"),
            Kind::Male => ("♂", "blue"),
            Kind::Female => ("♀", "pink"),
            Kind::Vip => ("👑", "gold"),
        };
        Self { name: Some(kind.as_str()), type_icon: Some(icon), type_icon_color: Some(color) }
    }
}

/// `Active`, `Offline`, or what the person set.
pub(super) fn status(online: bool, state: &str) -> String {
    if !online || state == "offline" {
        return "Offline".to_owned();
    }
    if state == "online" {
        return "Active".to_owned();
    }
    let mut characters = state.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// What the caller reads as somebody's name.
fn nickname(peer: &Peer, me: &Identity) -> String {
    if peer.identity == *me { YOU.to_owned() } else { peer.name().to_owned() }
}

/// What the caller is called.
pub(super) const YOU: &str = "You";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_as_the_document_names_it() {
        assert_eq!(status(true, "online"), "Active");
        assert_eq!(status(false, "online"), "Offline");
        assert_eq!(status(true, "away"), "Away");
        assert_eq!(status(true, "émue"), "Émue");
    }

    #[test]
    fn times_are_whole_seconds() {
        let time = DateTime::from_timestamp_millis(1_736_967_720_999).unwrap();
        assert_eq!(timestamp(time), "2025-01-15T19:02:00Z");
    }
}
