//! URL-encoded forms: the one Twilio sends in a webhook, read strictly.
//!
//! `form_urlencoded::parse` replaces what is not UTF-8; here it is refused, since a signature covers the bytes that were
//! sent and not their replacement. The forms we send are written where the call is built.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The most parameters a form may have; Twilio's largest has about 25.
const MOST_PARAMETERS: usize = 200;

/// The body is no form that Twilio would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedForm {
    /// A name or a value is not UTF-8.
    #[error("the form is not UTF-8")]
    NotUtf8,
    /// More than 200 parameters.
    #[error("the form has more than {MOST_PARAMETERS} parameters")]
    TooManyParameters,
}

/// A name and a value, decoded.
pub(super) type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a form in the order they were sent.
pub(super) fn parameters(body: &[u8]) -> Result<Vec<Parameter<'_>>, MalformedForm> {
    let body = std::str::from_utf8(body).map_err(|_| MalformedForm::NotUtf8)?;
    let mut parameters = Vec::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        if parameters.len() == MOST_PARAMETERS {
            return Err(MalformedForm::TooManyParameters);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push((decoded(name)?, decoded(value)?));
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, MalformedForm> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let plain = percent_decode_str(&spaced).decode_utf8().map_err(|_| MalformedForm::NotUtf8)?;
        return Ok(Cow::Owned(plain.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| MalformedForm::NotUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_values_are_decoded_in_order() {
        let form = parameters(b"Body=a+%26+b%2B&Empty=&Flag&&%C3%B1=%F0%9F%98%80").unwrap();
        let pairs: Vec<_> = form.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        assert_eq!(pairs, [("Body", "a & b+"), ("Empty", ""), ("Flag", ""), ("ñ", "😀")]);
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert_eq!(parameters(b"a=%FF"), Err(MalformedForm::NotUtf8));
        assert_eq!(parameters(b"a=\xff"), Err(MalformedForm::NotUtf8));
        assert_eq!(parameters(b"%C3=1"), Err(MalformedForm::NotUtf8));
    }

    #[test]
    fn two_hundred_parameters_are_read_and_one_more_is_refused() {
        assert_eq!(parameters("a=1&".repeat(200).as_bytes()).unwrap().len(), 200);
        assert_eq!(parameters("a=1&".repeat(201).as_bytes()), Err(MalformedForm::TooManyParameters));
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_comes_back(pairs in prop::collection::vec((".{1,8}", ".{0,16}"), 0..8)) {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(&pairs);
            let body = form.finish();
            let read: Vec<(String, String)> = parameters(body.as_bytes()).unwrap()
                .into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parameters(&body);
        }
    }
}
