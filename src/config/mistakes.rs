//! [`ConfigErrors`]: what is wrong with the settings, all of it, in words that hold no value.

use std::fmt;

/// One wrong or missing setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, such as "is missing". Never the value: it may be a secret in the wrong place.
    pub problem: String,
    /// What it should be, with an example.
    pub should_be: &'static str,
}

/// Every mistake in the settings; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self(mistakes)
    }

    /// The mistakes, in the order of `.env.example`.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; it should be {}", self.variable, self.problem, self.should_be)
    }
}

/// One line per mistake.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("a setting is wrong:")?,
            many => write!(f, "{many} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigErrors {}
