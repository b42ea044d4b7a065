//! What people change about themselves, here and at Twilio; and what Twilio says they changed there.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{BIO_CHARACTERS, Kind, NICKNAME_CHARACTERS, Profile, is_link, searched};
use crate::auth::{Caller, Identity};
use crate::core::conversations::OURS;
use crate::core::{Core, Error, PhoneKey};
use crate::store::{Source, Told};
use crate::twilio::{NewUser, User, UserChanges};

/// Bytes of a User's attributes. Twilio documents no limit; this is what it allows elsewhere.
const ATTRIBUTES_BYTES: usize = 16 * 1024;

/// What to do about one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leave it.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// This from now on.
    Set(T),
}

impl<T> Change<T> {
    fn told<U>(self, as_told: impl FnOnce(T) -> U) -> Option<Option<U>> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(as_told(value))),
        }
    }
}

/// What somebody changes about themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileEdit {
    /// At most 256 characters.
    pub nickname: Change<String>,
    /// An http or https URL of at most 2,048 bytes.
    pub avatar: Change<String>,
    /// At most 500 characters.
    pub bio: Change<String>,
    /// What they count themselves among.
    pub kind: Change<Kind>,
    /// Their phone number. A phone that somebody's token vouches for stays with that person.
    pub phone: Change<PhoneKey>,
}

impl Core {
    /// Changes what is known of the caller, here and at Twilio, and gives back what it is then.
    ///
    /// Costs two Twilio calls; none when nothing is to be changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field, [`Error::Auth`] without an identity of one's own, [`Error::Unavailable`].
    pub async fn edit_profile(&self, caller: &Caller, mut edit: ProfileEdit) -> Result<Arc<Profile>, Error> {
        let identity = caller.person()?.clone();
        check(&edit)?;
        if let (Change::Set(phone), Some(known)) = (&edit.phone, self.profile(&identity).await?)
            && known.phone.as_ref() == Some(phone)
        {
            // Typed in, it would count for less than it does if a token vouches for it.
            edit.phone = Change::Keep;
        }
        if let Change::Set(avatar) = edit.avatar {
            edit.avatar = Change::Set(self.avatar_kept(caller, &identity, avatar).await?);
        }
        let core = self.clone();
        self.to_the_end(async move {
            if edit != ProfileEdit::default() {
                core.edit_user(&identity, &edit).await?;
                core.remember(&identity, themselves(edit), Source::Themselves).await?;
            } else if core.profile(&identity).await?.is_none() {
                core.remember(&identity, Told::default(), Source::Themselves).await?;
            }
            core.profile(&identity).await?.ok_or(Error::PersonNotFound)
        })
        .await
    }

    /// A new picture as it is kept: a file here is one that the caller may show to others. The one they have may come again,
    /// however old the link.
    async fn avatar_kept(
        &self,
        caller: &Caller,
        identity: &Identity,
        avatar: String,
    ) -> Result<String, Error> {
        let kept = self.media_links.kept(avatar.clone());
        let known = self.profile(identity).await?.and_then(|known| known.avatar.clone());
        if known.is_some_and(|known| self.media_links.kept(known.as_ref().to_owned()) == kept) {
            return Ok(kept);
        }
        let mut link = [avatar];
        self.own_files(caller, &mut link).await?;
        Ok(kept)
    }

    /// The picture that Twilio has of a person, if it is news: they may have written it themselves, and a file here must be
    /// theirs then.
    async fn avatar_told(&self, identity: &Identity, told: &str, known: Option<&Profile>) -> Option<String> {
        let kept = self.media_links.kept(told.to_owned());
        let known = known.and_then(|known| known.avatar.as_deref());
        if kept.trim().is_empty()
            || known.is_some_and(|known| self.media_links.kept(known.to_owned()) == kept)
        {
            return None;
        }
        let Some((media, _)) = self.media_links.read(&kept) else { return Some(kept) };
        let owner =
            self.store.find_media(&media.to_string()).await.ok().flatten().and_then(|media| media.owner);
        (owner.as_deref() == Some(identity.as_str())).then_some(kept)
    }

    /// Changes the User at Twilio, where attributes of others stay as they are.
    async fn edit_user(&self, identity: &Identity, edit: &ProfileEdit) -> Result<(), Error> {
        let known = match self.twilio.fetch_user(identity.as_str()).await {
            Ok(user) => Some(user),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let attributes = edited(known.as_ref().map_or("{}", |user| &user.attributes), edit);
        if attributes.len() > ATTRIBUTES_BYTES {
            return Err(Error::LimitReached("there is no room for more about this person"));
        }
        let friendly_name = match &edit.nickname {
            Change::Keep => None,
            Change::Clear => Some(String::new()),
            Change::Set(nickname) => Some(nickname.clone()),
        };
        let changes =
            UserChanges { friendly_name: friendly_name.clone(), attributes: Some(attributes.clone()) };
        if known.is_none() {
            let new = NewUser {
                identity: identity.as_str().to_owned(),
                friendly_name,
                attributes: Some(attributes),
            };
            match self.twilio.create_user(&new).await {
                // Made by somebody else just now.
                Err(error) if error.is_already_user() => {}
                made => {
                    self.people.note_told(identity, made?.date_updated);
                    return Ok(());
                }
            }
        }
        let changed = self.twilio.update_user(identity.as_str(), &changes).await?;
        self.people.note_told(identity, changed.date_updated);
        Ok(())
    }

    /// Takes in what Twilio has of a person: what they set through us, or through Twilio's SDK. Written only if it is news.
    pub(in crate::core) async fn user_told(&self, identity: &Identity, user: &User) {
        let attributes: Value = serde_json::from_str(&user.attributes).unwrap_or_default();
        let ours = |key: &str| attributes[OURS][key].as_str();
        let known = self.profile(identity).await.ok().flatten();
        let known = known.as_deref();
        let news = |now: Option<&str>, before: Option<&str>| {
            now.filter(|now| !now.trim().is_empty() && Some(*now) != before).map(str::to_owned)
        };
        let nickname = user.friendly_name.as_deref().filter(|name| *name != identity.as_str());
        let avatar = match ours("avatar") {
            Some(told) => self.avatar_told(identity, told, known).await,
            None => None,
        };
        let phone = ours("phone").and_then(|phone| PhoneKey::international("phone", phone).ok());
        let edit = ProfileEdit {
            nickname: set(news(nickname, known.and_then(|known| known.nickname.as_deref()))),
            avatar: set(avatar),
            bio: set(news(ours("bio"), known.and_then(|known| known.bio.as_deref()))),
            kind: set(ours("type")
                .and_then(Kind::named)
                .filter(|kind| known.and_then(|k| k.kind) != Some(*kind))),
            phone: set(phone.filter(|phone| known.and_then(|known| known.phone.as_ref()) != Some(phone))),
        };
        if edit == ProfileEdit::default() || check(&edit).is_err() {
            return;
        }
        if let Err(error) = self.remember(identity, themselves(edit), Source::Themselves).await {
            tracing::warn!(%error, "what Twilio says of a person was not remembered");
        }
    }

    /// Takes in whom Twilio knows: they are in the directory from now on, whatever Twilio tells of them.
    pub(in crate::core) async fn user_met(&self, identity: &Identity, user: &User) {
        self.user_told(identity, user).await;
        if let Ok(None) = self.profile(identity).await
            && let Err(error) = self.remember(identity, Told::default(), Source::Others).await
        {
            tracing::warn!(%error, "a person is not remembered");
        }
    }
}

fn themselves(edit: ProfileEdit) -> Told {
    Told {
        name: edit.nickname.told(searched),
        image: edit.avatar.told(|avatar| avatar),
        bio: edit.bio.told(searched),
        kind: edit.kind.told(|kind| kind.as_str().to_owned()),
        email: None,
        phone: edit.phone.told(|phone| phone.as_str().to_owned()),
    }
}

fn check(edit: &ProfileEdit) -> Result<(), Error> {
    if let Change::Set(nickname) = &edit.nickname {
        if nickname.trim().is_empty() || nickname.chars().any(char::is_control) {
            return Err(Error::invalid("nickname", "must not be blank"));
        }
        if nickname.chars().count() > NICKNAME_CHARACTERS {
            return Err(Error::invalid("nickname", "must be at most 256 characters"));
        }
    }
    if let Change::Set(avatar) = &edit.avatar
        && !is_link(avatar)
    {
        return Err(Error::invalid("avatar", "must be an http or https link of at most 2048 characters"));
    }
    if let Change::Set(bio) = &edit.bio
        && bio.chars().count() > BIO_CHARACTERS
    {
        return Err(Error::invalid("bio", "must be at most 500 characters"));
    }
    Ok(())
}

fn set<T>(value: Option<T>) -> Change<T> {
    value.map_or(Change::Keep, Change::Set)
}

/// A User's attributes with ours changed.
fn edited(attributes: &str, edit: &ProfileEdit) -> String {
    let mut all: Map<String, Value> = serde_json::from_str(attributes).unwrap_or_default();
    let mut ours = all.get(OURS).and_then(Value::as_object).cloned().unwrap_or_default();
    let kind = match &edit.kind {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(kind) => Change::Set(kind.as_str().to_owned()),
    };
    let phone = match &edit.phone {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(phone) => Change::Set(format!("+{phone}")),
    };
    for (key, change) in [("avatar", &edit.avatar), ("bio", &edit.bio), ("type", &kind), ("phone", &phone)] {
        match change {
            Change::Keep => {}
            Change::Clear => drop(ours.remove(key)),
            Change::Set(value) => drop(ours.insert(key.to_owned(), json!(value))),
        }
    }
    all.insert(OURS.to_owned(), Value::Object(ours));
    Value::Object(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_others_survive_an_edit() {
        let edit = ProfileEdit {
            bio: Change::Set("hi".to_owned()),
            avatar: Change::Clear,
            ..ProfileEdit::default()
        };
        let before = r#"{"theirs":1,"switchboard":{"avatar":"https://a.example/1.png","type":"vip"}}"#;
        let after: Value = serde_json::from_str(&edited(before, &edit)).unwrap();
        assert_eq!(after, json!({ "theirs": 1, "switchboard": { "type": "vip", "bio": "hi" } }));
    }
}
