//! The mock Twilio over HTTP, as a client of Twilio would see it, held to the sample bodies and forms in `fixtures/twilio`.

mod any_request;
mod faults;
mod media;
mod other_side;
mod paging;
mod rules;
mod samples;
mod twilio;
mod webhooks;
