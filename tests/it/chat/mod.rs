//! The chat dialect, told as stories.

mod contracts;
mod frames;
mod pending;
mod refusals;
mod required_mode;
mod rest;
mod sockets;
