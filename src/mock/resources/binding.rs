//! How somebody without the app is reached: their address, our number, and which pairs are allowed.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>,
//! error pages 50407 to 50414.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::mock::error::{self, Refusal};
use crate::mock::form::Form;

/// Most characters of an address.
const MOST_ADDRESS: usize = 256;

/// A messaging binding. On REST its type is lower case, in webhooks upper case.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) address: Option<String>,
    pub(crate) proxy_address: Option<String>,
    pub(crate) projected_address: Option<String>,
}

impl Binding {
    /// `MessagingBinding.Address`, `.ProxyAddress` and `.ProjectedAddress`; `None` when there is none of them.
    ///
    /// # Errors
    /// 50407, 50408 when an address is not one of its channel; 50411, 50412 when it is empty.
    pub(crate) fn read(form: &Form) -> Result<Option<Self>, Refusal> {
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

    /// A chat participant who takes part in a group text by `address`, one of our numbers.
    ///
    /// # Errors
    /// 50407, 50439.
    pub(crate) fn projecting(address: &str, numbers: &HashSet<String>) -> Result<Self, Refusal> {
        let address = address_of(Some(address), error::ADDRESS_EMPTY, error::ADDRESS_INVALID)?;
        let binding = Self { address: None, proxy_address: None, projected_address: address };
        binding.check(numbers, true)?;
        Ok(binding)
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

    /// Changes the proxy or the projected address; the text `null` takes one away.
    ///
    /// # Errors
    /// As [`Binding::check`], and 50407, 50408.
    pub(crate) fn change(
        &mut self,
        proxy_address: Option<&str>,
        projected_address: Option<&str>,
        numbers: &HashSet<String>,
    ) -> Result<(), Refusal> {
        let mut changed = self.clone();
        let given = |text: Option<&str>, invalid: Refusal| match text {
            Some("null") => Ok(None),
            text => address_of(text, error::PROXY_ADDRESS_EMPTY, invalid),
        };
        if proxy_address.is_some() {
            changed.proxy_address = given(proxy_address, error::PROXY_ADDRESS_INVALID)?;
        }
        if projected_address.is_some() {
            changed.projected_address = given(projected_address, error::ADDRESS_INVALID)?;
        }
        // A proxy address may be taken away for good, so its absence is no error here.
        changed.check(numbers, true)?;
        *self = changed;
        Ok(())
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

fn is_e164(text: &str) -> bool {
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
