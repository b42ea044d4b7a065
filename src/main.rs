//! Arguments to the command; mistakes to standard error.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match switchboard::commands::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}
