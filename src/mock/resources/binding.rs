//! How somebody without the app is reached: their address, our number, and which pairs are allowed.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>,
//! error pages 50407 to 50414.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::mock::error::{self, Refusal};
use crate::mock::form::Form;

/// Most characters of an address.
const MOST_ADDRESS: usize = 256;

/// A messaging binding. On REST its type is lower case, in webhooks upper case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binding {
    pub(crate) address: Option<String>,
    pub(crate) proxy_address: Option<String>,
    pub(crate) projected_address: Option<String>,
}

impl Binding {
    /// `MessagingBinding.Address`, `.ProxyAddress` and `.ProjectedAddress`; `None` when there is none of them.
    ///
    /// # Errors
    /// 50407, 50408 when an address is not one of its channel; 50411, 50412 when it is empty; 50420 for what only e-mail
    /// has.
    pub(crate) fn read(form: &Form) -> Result<Option<Self>, Refusal> {
        if form.has("MessagingBinding.Name") || form.has("MessagingBinding.Level") {
            return Err(error::BINDING_PARAMETERS_UNSUPPORTED);
        }
        let address =
            address_of(form.text("MessagingBinding.Address")?, error::ADDRESS_EMPTY, error::ADDRESS_INVALID)?;
        let proxy_address = address_of(
            form.text("MessagingBinding.ProxyAddress")?,
            error::PROXY_ADDRESS_EMPTY,
            error::PROXY_ADDRESS_INVALID,
        )?;
        let projected_address = address_of(
            form.text("MessagingBinding.ProjectedAddress")?,
            error::ADDRESS_EMPTY,
            error::ADDRESS_INVALID,
        )?;
        let binding = Self { address, proxy_address, projected_address };
        let empty = binding.address.is_none()
            && binding.proxy_address.is_none()
            && binding.projected_address.is_none();
        Ok((!empty).then_some(binding))
    }

    /// Whether these addresses go together, and the ones that must be ours are in `numbers`. In a group text (`group`)
    /// phones need no proxy address.
    ///
    /// # Errors
    /// 50409, 50412, 50413, 50414, 50439.
    pub(crate) fn check(&self, numbers: &HashSet<String>, group: bool) -> Result<(), Refusal> {
        if let Some(projected) = &self.projected_address
            && !numbers.contains(number_of(projected))
        {
            return Err(error::PROJECTED_ADDRESS_NOT_OURS);
        }
        match (&self.address, &self.proxy_address) {
            (Some(address), Some(proxy)) if address == proxy => Err(error::ADDRESS_EQUALS_PROXY),
            (Some(address), Some(proxy)) if channel_of(address) != channel_of(proxy) => {
                Err(error::ADDRESS_TYPES_DIFFER)
            }
            (_, Some(proxy)) if !numbers.contains(number_of(proxy)) => Err(error::PROXY_ADDRESS_NOT_OURS),
            (Some(_), None) if !group => Err(error::PROXY_ADDRESS_EMPTY),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// `old` with another proxy or projected address; the text `null` takes one away.
    ///
    /// # Errors
    /// 50440 to 50443 for what cannot be taken away or added, 50407 and 50408 for what is no address.
    pub(crate) fn changed(
        old: Option<&Self>,
        proxy_address: Option<&str>,
        projected_address: Option<&str>,
    ) -> Result<Option<Self>, Refusal> {
        let none = Self { address: None, proxy_address: None, projected_address: None };
        let mut changed = old.cloned().unwrap_or_else(|| none.clone());
        match proxy_address {
            None => {}
            Some("null") if changed.proxy_address.is_none() => return Err(error::PROXY_ADDRESS_NOT_REMOVED),
            Some("null") => changed.proxy_address = None,
            Some(_) if changed.address.is_none() => return Err(error::PROXY_ADDRESS_NOT_ADDED),
            text @ Some(_) => {
                changed.proxy_address =
                    address_of(text, error::PROXY_ADDRESS_EMPTY, error::PROXY_ADDRESS_INVALID)?;
            }
        }
        match projected_address {
            None => {}
            Some("null") if changed.projected_address.is_none() => {
                return Err(error::PROJECTED_ADDRESS_NOT_REMOVED);
            }
            Some("null") => changed.projected_address = None,
            Some(_) if changed.address.is_some() => return Err(error::PROJECTED_ADDRESS_NOT_ADDED),
            text @ Some(_) => {
                changed.projected_address = address_of(text, error::ADDRESS_EMPTY, error::ADDRESS_INVALID)?;
            }
        }
        Ok((changed != none).then_some(changed))
    }

    /// Whether only group texts have such bindings: a projected address, or a phone that no proxy address stands for.
    pub(crate) fn is_of_a_group(&self) -> bool {
        self.projected_address.is_some() || (self.address.is_some() && self.proxy_address.is_none())
    }

    /// The number by which others in a group text know this participant.
    pub(crate) fn own_address(&self) -> Option<&str> {
        self.address.as_deref().or(self.projected_address.as_deref())
    }

    /// All its addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        [&self.address, &self.proxy_address, &self.projected_address].into_iter().filter_map(Option::as_deref)
    }

    /// The channel of its addresses.
    pub(crate) fn channel(&self) -> &str {
        let address =
            self.address.as_ref().or(self.proxy_address.as_ref()).or(self.projected_address.as_ref());
        address.map_or("sms", |address| channel_of(address))
    }

    /// The type as webhooks write it: `SMS`, `WHATSAPP`.
    pub(crate) fn webhook_type(&self) -> String {
        self.channel().to_ascii_uppercase()
    }

    /// The binding in a participant's body: members that are not there are left out.
    pub(crate) fn body(&self) -> Value {
        let members = [
            ("address", &self.address),
            ("proxy_address", &self.proxy_address),
            ("projected_address", &self.projected_address),
        ];
        let mut body = Map::from_iter([("type".to_owned(), self.channel().into())]);
        for (name, value) in members {
            if let Some(value) = value {
                body.insert(name.to_owned(), value.clone().into());
            }
        }
        Value::Object(body)
    }

    /// The binding in a list by identity or address: all six members, nulls included.
    pub(crate) fn full_body(&self) -> Value {
        json!({
            "type": self.channel(),
            "address": self.address,
            "proxy_address": self.proxy_address,
            "projected_address": self.projected_address,
            "level": null,
            "name": null,
        })
    }
}

/// The channel of an address: what stands before the colon, else `sms`.
pub(crate) fn channel_of(address: &str) -> &str {
    address.split_once(':').map_or("sms", |(channel, _)| channel)
}

fn number_of(address: &str) -> &str {
    address.split_once(':').map_or(address, |(_, number)| number)
}

fn address_of(text: Option<&str>, empty: Refusal, invalid: Refusal) -> Result<Option<String>, Refusal> {
    match text {
        None => Ok(None),
        Some("") => Err(empty),
        Some(text) if text.chars().count() <= MOST_ADDRESS && is_address(text) => Ok(Some(text.to_owned())),
        Some(_) => Err(invalid),
    }
}

/// E.164, alone or after `whatsapp:`; Messenger and Google names are not looked into.
fn is_address(text: &str) -> bool {
    match text.split_once(':') {
        None => is_e164(text),
        Some(("whatsapp" | "rcs", number)) => is_e164(number),
        Some(("messenger" | "gbm", name)) => !name.is_empty(),
        Some(_) => false,
    }
}

/// Whether the text is a phone number as E.164 writes it.
pub(crate) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_e164_with_or_without_a_channel() {
        assert!(is_address("+15558675310") && is_address("whatsapp:+15558675310"));
        for text in ["15558675310", "+0155586753", "+1 555 867", "+", "alice", "pigeon:+15558675310"] {
            assert!(!is_address(text), "{text}");
        }
    }
}
