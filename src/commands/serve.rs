//! `switchboard serve`: the service in production.

use anyhow::Context;

use crate::clock::Clock;
use crate::config::{Config, Settings};
use crate::server::Server;
use crate::telemetry;

use super::asked_to_end;

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let settings = config.serve()?;
    telemetry::init(settings.log.format, &settings.log.filter);
    let twilio = format!("{} (service {})", settings.twilio.conversations_url, settings.twilio.service_sid);
    run_with(settings, |address| println!("switchboard listens on http://{address}, Twilio is {twilio}"))
        .await
}

/// Runs the service; `greet` is told where it listens, once it does.
pub(super) async fn run_with(
    settings: Settings,
    greet: impl FnOnce(std::net::SocketAddr),
) -> anyhow::Result<()> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let server = Server::bind(settings, Clock::system()).await.context("the service cannot start")?;
    greet(server.address());
    server.run(asked_to_end()).await;
    tracing::info!("ended");
    Ok(())
}
