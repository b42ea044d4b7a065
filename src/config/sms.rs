//! `SMS_FALLBACK`, `SMS_COUNTRIES`, `SMS_DAILY_CAP` and `SMS_DAILY_TEXTS`: which phones may be written to, how many, how often.
//!
//! Text messages cost money, and to some countries a lot: whoever can have them sent anywhere can be paid for it. So without
//! a list only the country of our own number is written to.

use std::fmt;

use phonenumber::country::Id;

use super::reader::{Reader, given, listed};
use super::{Config, TwilioSettings};

const DAILY_CAP: u32 = 20;
const DAILY_TEXTS: u32 = 500;

/// `SMS_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsSettings {
    /// Whether a conversation can begin with a phone that nobody has registered.
    pub fallback: bool,
    /// Which countries' phones are brought into conversations.
    pub countries: SmsCountries,
    /// How many new phones somebody may bring into conversations within a day.
    pub daily_cap: u32,
    /// How many texts to phones somebody may send within a day, all phones together.
    pub daily_texts: u32,
}

impl SmsSettings {
    /// What is allowed but may not be meant: a number of our own, and nobody to write to from it.
    pub(super) fn warning(&self, twilio: Option<&TwilioSettings>) -> Option<String> {
        let number = twilio?.phone_number.as_ref();
        let nobody = self.countries == SmsCountries::These(Vec::new());
        (nobody && number.is_some()).then(|| {
            "the country of TWILIO_PHONE_NUMBER is not known: set SMS_COUNTRIES, or no phone can be brought into \
             conversations"
                .to_owned()
        })
    }
}

/// Countries whose phones are brought into conversations.
#[derive(Clone, PartialEq, Eq)]
pub enum SmsCountries {
    /// Every one.
    Any,
    /// These.
    These(Vec<Id>),
}

impl SmsCountries {
    /// Whether the phone with this number (E.164) is in one of them. A number that is nobody's is in none.
    #[must_use]
    pub fn include(&self, number: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(countries) => country_of(number).is_some_and(|country| countries.contains(&country)),
        }
    }
}

impl fmt::Debug for SmsCountries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::These(countries) => {
                let names: Vec<&str> = countries.iter().map(AsRef::as_ref).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// Of numbers that several countries share (+1), whose the number is.
fn country_of(number: &str) -> Option<Id> {
    phonenumber::parse(None, number).ok()?.country().id()
}

/// Whether whoever writes to the number (E.164) pays more than for a text, to the one who has it.
#[must_use]
pub fn is_premium(number: &str) -> bool {
    let number_type = |number: phonenumber::PhoneNumber| number.number_type(&phonenumber::metadata::DATABASE);
    phonenumber::parse(None, number).is_ok_and(|number| number_type(number) == phonenumber::Type::PremiumRate)
}

impl Reader {
    pub(super) fn sms(&mut self, config: &Config, twilio: Option<&TwilioSettings>) -> Option<SmsSettings> {
        let written = config.sms_fallback.as_ref();
        let fallback =
            self.optional("SMS_FALLBACK", written, "true or false", |text| text.parse::<bool>().ok());
        let should_be = "ISO codes of countries, separated by commas, such as US,CA,GB; or `*`";
        let countries =
            self.optional("SMS_COUNTRIES", config.sms_countries.as_ref(), should_be, |text| match text {
                "*" => Some(SmsCountries::Any),
                list => {
                    let countries: Option<Vec<Id>> =
                        listed(list).map(|code| code.to_ascii_uppercase().parse().ok()).collect();
                    countries.filter(|countries| !countries.is_empty()).map(SmsCountries::These)
                }
            });
        let written = config.sms_daily_cap.as_ref();
        let daily_cap = self.optional("SMS_DAILY_CAP", written, "a number from 0, such as 20", |text| {
            text.parse::<u32>().ok()
        });
        let written = config.sms_daily_texts.as_ref();
        let daily_texts = self.optional("SMS_DAILY_TEXTS", written, "a number from 0, such as 500", |text| {
            text.parse::<u32>().ok()
        });
        let fallback = fallback?.unwrap_or(false);
        let number = twilio.and_then(|twilio| twilio.phone_number.as_deref());
        if fallback && given(config.twilio_phone_number.as_ref()).is_none() && number.is_none() {
            let problem = "is needed where SMS_FALLBACK is true";
            self.wrong::<()>("TWILIO_PHONE_NUMBER", problem, "a number in E.164 form, such as +15017122661");
        }
        // A mock sends nothing, and the numbers of examples are nobody's.
        let default = || match twilio {
            Some(twilio) if twilio.is_mock() => SmsCountries::Any,
            Some(_) | None => SmsCountries::These(number.and_then(country_of).into_iter().collect()),
        };
        Some(SmsSettings {
            fallback,
            countries: countries?.unwrap_or_else(default),
            daily_cap: daily_cap?.unwrap_or(DAILY_CAP),
            daily_texts: daily_texts?.unwrap_or(DAILY_TEXTS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_that_share_a_calling_code_are_told_apart() {
        let north = SmsCountries::These(vec![Id::US, Id::CA]);
        for number in ["+12025550143", "+14165550123", "+15005550006"] {
            assert!(north.include(number), "{number}");
        }
        // Jamaica and the Dominican Republic, where +1 is dear; Latvia; nobody.
        for number in ["+18765550123", "+18095550123", "+37120000000", "+15551230001", "+1", ""] {
            assert!(!north.include(number), "{number}");
            assert!(SmsCountries::Any.include(number));
        }
        assert!(SmsCountries::These(vec![Id::GB]).include("+447400123456"));
        assert!(SmsCountries::These(vec![Id::GG]).include("+447911123456"), "Guernsey, not Great Britain");
        assert!(!SmsCountries::These(Vec::new()).include("+447400123456"));
    }

    #[test]
    fn numbers_that_cost_extra_are_known() {
        for number in ["+19002345678", "+449098790000"] {
            assert!(is_premium(number), "{number}");
        }
        for number in ["+12025550143", "+447400123456", "+15551230001", ""] {
            assert!(!is_premium(number), "{number}");
        }
    }
}
