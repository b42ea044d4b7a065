//! The documented client APIs.
