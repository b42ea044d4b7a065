//! The conversations dialect, told as stories.

mod events;
mod exactly_once;
mod refusals;
mod refused_events;
mod required_mode;
mod rest;
mod tokens;
