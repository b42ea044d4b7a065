//! The subcommands of the binary, one file each. What they share is here: the mock's fixed account, and when to end.

mod dev;
mod mock_twilio;
mod reindex;
mod serve;
mod token;

use clap::{Parser, Subcommand};

use crate::config::{Config, MockTwilio};
use crate::mock;

/// The server between chat apps and Twilio Conversations.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, about, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service with a mock Twilio beside it: no account, no setting needed.
    Dev(Box<Config>),
    /// Runs the service against Twilio, with the settings of the environment (see .env.example).
    Serve(Box<Config>),
    /// Runs the mock Twilio alone, for other programs and their tests.
    MockTwilio(Box<mock_twilio::MockTwilioArguments>),
    /// Restores the database from what Twilio has, with the settings of `serve`; the service may run meanwhile.
    Reindex(Box<reindex::ReindexArguments>),
    /// Prints an app token (a JWT signed with JWT_SECRET) for trying things out.
    Token(Box<token::TokenArguments>),
}

/// Runs the command that the process was started with.
///
/// # Errors
/// What stands in the way, naming the setting and its cure.
pub async fn run() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Dev(config) => dev::run(*config).await,
        Command::Serve(config) => serve::run(*config).await,
        Command::MockTwilio(arguments) => mock_twilio::run(*arguments).await,
        Command::Reindex(arguments) => reindex::run(*arguments).await,
        Command::Token(arguments) => token::run(*arguments),
    }
}

/// The account of a mock at `url`: fixed, well-formed, and nobody's.
fn mock_account(url: &str) -> anyhow::Result<MockTwilio> {
    let options = mock::Options::default();
    Ok(MockTwilio {
        account_sid: options.account_sid,
        auth_token: options.auth_token,
        api_key_sid: options.api_key_sid,
        api_key_secret: options.api_key_secret,
        service_sid: options.service_sid,
        phone_number: options.phone_number,
        conversations_url: url.parse()?,
        media_url: url.parse()?,
    })
}

/// Ends when the process is asked to: SIGTERM, or Ctrl-C.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM is not heard; Ctrl-C is");
            // An error here means that neither can be heard: then only SIGKILL is left.
            let _ = interrupt.await;
        }
    }
}
