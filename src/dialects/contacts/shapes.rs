//! What goes over the wire, by the document's names, and how it becomes what `core` takes and gives.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::{ByPhone, Contact, Error, NewContact, PhoneKey, StartedByPhone};

/// Characters of a contact's first or last name.
const NAME_CHARACTERS: usize = 100;

/// Digits that apps send as text or as a number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a string of digits")]
enum Digits {
    Text(String),
    Number(u64),
}

impl Digits {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

fn required(field: &'static str, digits: Option<Digits>) -> Result<String, Error> {
    digits.map(Digits::into_text).ok_or_else(|| Error::invalid(field, "is missing"))
}

/// `POST /contact/add`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct AddContact {
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    first_name: Option<String>,
    #[schema(max_length = 100)]
    last_name: Option<String>,
    #[schema(value_type = Digits)]
    phone_number: Option<Digits>,
    #[schema(value_type = Digits)]
    country_code: Option<Digits>,
}

impl AddContact {
    /// The contact to keep, and how its number was written.
    pub(super) fn read(self) -> Result<(NewContact, Written), Error> {
        let first_name = name("first_name", self.first_name)?;
        if first_name.is_empty() {
            return Err(Error::invalid("first_name", "is missing"));
        }
        let last_name = name("last_name", self.last_name)?;
        let country_code = required("country_code", self.country_code)?;
        let phone_number = required("phone_number", self.phone_number)?;
        let phone = PhoneKey::in_country(["country_code", "phone_number"], &country_code, &phone_number)?;
        Ok((NewContact { first_name, last_name, phone }, Written { country_code, phone_number }))
    }
}

fn name(field: &'static str, name: Option<String>) -> Result<String, Error> {
    let name = name.unwrap_or_default().trim().to_owned();
    if name.chars().count() > NAME_CHARACTERS || name.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must be at most 100 characters, without control characters"));
    }
    Ok(name)
}

/// A phone number as it was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Written {
    phone_number: String,
    country_code: String,
}

/// What `POST /contact/add` gives back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContactOut {
    id: String,
    first_name: String,
    last_name: String,
    #[serde(flatten)]
    written: Written,
    customer_id: Option<String>,
}

impl ContactOut {
    pub(super) fn of(contact: &Contact, written: Written) -> Self {
        Self {
            id: contact.id.to_string(),
            first_name: (*contact.first_name).to_owned(),
            last_name: (*contact.last_name).to_owned(),
            written,
            customer_id: contact.customer.as_ref().map(|customer| customer.as_str().to_owned()),
        }
    }
}

/// The event `create_conversation`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateConversation {
    to_country_code: Option<Digits>,
    to_phone_number: Option<Digits>,
    conversation_type: Option<String>,
}

impl CreateConversation {
    /// With whom, and what kind of conversation.
    pub(super) fn read(self) -> Result<(PhoneKey, ByPhone), Error> {
        let kind = match self.conversation_type.as_deref() {
            Some("private") => ByPhone::Private,
            Some("group") => ByPhone::Group,
            Some(_) | None => return Err(Error::invalid("conversationType", "must be private or group")),
        };
        let country_code = required("toCountryCode", self.to_country_code)?;
        let phone_number = required("toPhoneNumber", self.to_phone_number)?;
        let phone = PhoneKey::in_country(["toCountryCode", "toPhoneNumber"], &country_code, &phone_number)?;
        Ok((phone, kind))
    }
}

/// The acknowledgement of `create_conversation`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationCreated {
    status: bool,
    conversation_id: String,
    msg: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
}

impl From<StartedByPhone> for ConversationCreated {
    fn from(started: StartedByPhone) -> Self {
        Self {
            status: true,
            conversation_id: started.conversation.uuid().to_string(),
            msg: "Conversation created successfully",
            existing: started.existing,
        }
    }
}
