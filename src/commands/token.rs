//! `switchboard token`: an app token for trying things out.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::auth::{Auth, Identity, NewToken, Role, SignOuts};
use crate::clock::Clock;
use crate::config::Config;

use super::mock_account;

/// Whom the token is for.
#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    /// Whom the token names.
    #[arg(long)]
    identity: String,
    /// What it lets them do.
    #[arg(long, value_enum, default_value_t = RoleArgument::User)]
    role: RoleArgument,
    /// What to call them.
    #[arg(long)]
    name: Option<String>,
    /// How long it is valid, in seconds.
    #[arg(long, default_value_t = 3600)]
    ttl: u64,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArgument {
    User,
    Admin,
    Service,
}

pub(super) fn run(arguments: TokenArguments) -> anyhow::Result<()> {
    let identity: Identity = arguments.identity.parse()?;
    let settings = arguments.config.token(&mock_account("http://127.0.0.1:3002")?)?;
    let auth = Auth::new(settings, Clock::system(), SignOuts::default())?;
    let token = auth.mint(&NewToken {
        identity,
        role: match arguments.role {
            RoleArgument::User => Role::User,
            RoleArgument::Admin => Role::Admin,
            RoleArgument::Service => Role::Service,
        },
        name: arguments.name,
        ttl: Duration::from_secs(arguments.ttl),
    })?;
    println!("{token}");
    Ok(())
}
