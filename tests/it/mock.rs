//! The mock Twilio over HTTP, as a client of Twilio would see it, held to the sample bodies and forms in `fixtures/twilio`.

mod account;
mod accounts;
mod any_request;
mod data;
mod dictionary;
mod faults;
mod group_texts;
mod limits;
mod listener;
mod media;
mod openapi;
mod other_side;
mod paging;
mod phones;
mod populating;
mod pre_webhooks;
mod refusals;
mod rules;
mod samples;
mod schema;
mod switches;
mod tokens;
mod twilio;
mod webhooks;
