//! [`PhoneKey`]: the one spelling of a phone number that people are found by.
//!
//! The addresses of phones that take part in a conversation are `phone_participants.rs`'
//! [`PhoneNumber`](super::PhoneNumber).

use std::fmt;
use std::sync::Arc;

use super::Error;

/// Characters of a phone number as a person writes it.
const WRITTEN_AT_MOST: usize = 40;

/// The digits of a phone number in E.164, without `+`: `60123456789`. A clone costs one counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneKey(Arc<str>);

impl PhoneKey {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a number in a country: `60` and `123456789`, with the `+`, spaces, punctuation and trunk zero that people write.
    /// A `number` may begin with its country's part itself: it must be the same, and goes without saying after a `+`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `fields` (of the country's part, and of the number), also for digits that are nobody's
    /// number in that country.
    pub fn in_country(fields: [&'static str; 2], country_code: &str, number: &str) -> Result<Self, Error> {
        let country = digits(country_code)
            .filter(|digits| (1..=3).contains(&digits.len()) && !digits.starts_with('0'))
            .ok_or_else(|| Error::invalid(fields[0], "must be a country's calling code, such as 60"))?;
        let wrong = || Error::invalid(fields[1], "must be a valid phone number of that country");
        let written = digits(number).ok_or_else(wrong)?;
        let whole = || written.starts_with(&country).then(|| Self::of_digits(&written)).flatten();
        let key = if number.trim_start().starts_with('+') {
            whole()
        } else {
            Self::of_digits(&format!("{country}{written}")).or_else(whole)
        };
        key.ok_or_else(wrong)
    }

    /// Of a number that begins with its country's part, with or without `+`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `field`.
    pub fn international(field: &'static str, number: &str) -> Result<Self, Error> {
        digits(number)
            .and_then(|digits| Self::of_digits(&digits))
            .ok_or_else(|| Error::invalid(field, "must be a valid phone number with its country's part"))
    }

    /// What we wrote ourselves.
    pub(super) fn stored(digits: &str) -> Self {
        Self(digits.into())
    }

    /// Knows of every country how long its numbers are, what they begin with, and whether a leading zero belongs to them
    /// (Italy) or is only dialled (nearly everywhere else).
    fn of_digits(digits: &str) -> Option<Self> {
        let parsed = phonenumber::parse(None, format!("+{digits}")).ok()?;
        if !parsed.is_valid() {
            return None;
        }
        let e164 = parsed.format().mode(phonenumber::Mode::E164).to_string();
        let digits = e164.strip_prefix('+')?;
        ((7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| Self(digits.into()))
    }
}

impl fmt::Display for PhoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digits of what a person wrote; `None` if it has anything that people do not write in phone numbers.
fn digits(written: &str) -> Option<String> {
    let written = written.trim();
    if written.len() > WRITTEN_AT_MOST {
        return None;
    }
    let written = written.strip_prefix('+').unwrap_or(written);
    let spelled = written.chars().all(|c| c.is_ascii_digit() || " -.()/\u{a0}".contains(c));
    spelled.then(|| written.chars().filter(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(country_code: &str, number: &str) -> Option<String> {
        PhoneKey::in_country(["country_code", "phone_number"], country_code, number)
            .ok()
            .map(|key| key.to_string())
    }

    #[test]
    fn however_it_is_written_it_is_the_same_phone() {
        for (country, number) in [
            ("60", "123456789"),
            ("+60", "123456789"),
            ("60", "0123456789"),
            ("60", "012-345 6789"),
            (" 60 ", "(012) 345.67/89"),
            ("60", "+60 12-345 6789"),
            ("60", "60123456789"),
        ] {
            assert_eq!(key(country, number).as_deref(), Some("60123456789"), "{country} {number}");
        }
        let international = PhoneKey::international("phone_number", "+60 12-345 6789").unwrap();
        assert_eq!(international.as_str(), "60123456789");
    }

    #[test]
    fn a_zero_that_belongs_to_the_number_stays() {
        assert_eq!(key("39", "06 698 1234").as_deref(), Some("39066981234"));
        assert_eq!(key("44", "07911 123456").as_deref(), Some("447911123456"));
    }

    #[test]
    fn what_is_nobodys_number_is_refused() {
        for (country, number) in [
            ("", "123456789"),
            ("0", "123456789"),
            ("999", "123456789"),
            ("6012", "3456789"),
            ("abc", "123456789"),
            ("60", ""),
            ("60", "+"),
            ("60", "12"),
            ("60", "123456789123456"),
            ("60", "12345678a"),
            ("60", "１２３４５６７８９"),
            ("60", "+44 7911 123456"),
            ("60", "123456789 ext. 5"),
            ("1", "5550001"),
        ] {
            assert_eq!(key(country, number), None, "{country} {number}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_refused(country in ".{0,6}", number in ".{0,50}") {
            key(&country, &number);
        }

        #[test]
        fn a_key_is_its_own_spelling(country in "[1-9][0-9]{0,2}", number in "[0-9]{4,14}") {
            if let Some(digits) = key(&country, &number) {
                prop_assert_eq!(PhoneKey::international("phone", &digits).unwrap().to_string(), digits);
            }
        }
    }
}
