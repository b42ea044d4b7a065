//! `.env.example` and the settings in `config` tell the same: every variable, its text, its default.
//!
//! What the settings refuse, and in which words, is tested at the end.

use clap::{Args, Command, FromArgMatches};
use switchboard::auth::AuthMode;
use switchboard::config::{Config, EXAMPLE_JWT_SECRET, MockTwilio, Settings};

const EXAMPLE: &str = include_str!("../../.env.example");

/// A variable as `.env.example` has it.
struct Line {
    variable: String,
    value: String,
    text: String,
}

fn example() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut text = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            text.push(comment);
        } else if let Some((variable, value)) = line.strip_prefix('#').unwrap_or(line).split_once('=') {
            lines.push(Line { variable: variable.into(), value: value.into(), text: text.join(" ") });
            text.clear();
        } else {
            text.clear();
        }
    }
    lines
}

fn command() -> Command {
    Config::augment_args(Command::new("switchboard"))
}

fn config(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().flat_map(|(variable, value)| {
        [format!("--{}", variable.to_lowercase().replace('_', "-")), (*value).to_owned()]
    });
    let arguments = std::iter::once("switchboard".to_owned()).chain(flags);
    Config::from_arg_matches(&command().try_get_matches_from(arguments).unwrap()).unwrap()
}

const SID: &str = "00000000000000000000000000000001";

/// What `serve` needs, and nothing more.
fn needed() -> Vec<(&'static str, &'static str)> {
    vec![
        ("PUBLIC_URL", "https://chat.example.com"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
        ("TWILIO_AUTH_TOKEN", "canary-auth-token"),
        ("TWILIO_API_KEY_SID", "SK00000000000000000000000000000001"),
        ("TWILIO_API_KEY_SECRET", "canary-api-key-secret"),
        ("TWILIO_CONVERSATIONS_SERVICE_SID", "IS00000000000000000000000000000001"),
    ]
}

fn serve(more: &[(&'static str, &'static str)]) -> Result<Settings, Vec<(&'static str, String)>> {
    let mut flags = needed();
    flags.retain(|(variable, _)| more.iter().all(|(other, _)| other != variable));
    flags.extend(more);
    config(&flags).serve().map_err(|errors| {
        errors.mistakes().iter().map(|mistake| (mistake.variable, mistake.problem.clone())).collect()
    })
}

fn mock() -> MockTwilio {
    MockTwilio {
        account_sid: format!("AC{SID}"),
        auth_token: "mock-auth-token".into(),
        api_key_sid: format!("SK{SID}"),
        api_key_secret: "mock-api-key-secret".into(),
        service_sid: format!("IS{SID}"),
        phone_number: "+15005550006".into(),
        conversations_url: "http://127.0.0.1:3002".parse().unwrap(),
        media_url: "http://127.0.0.1:3002".parse().unwrap(),
    }
}

#[test]
fn every_setting_stands_in_the_example_in_the_same_order_and_words() {
    let settings: Vec<_> = command()
        .get_arguments()
        .filter_map(|argument| {
            let variable = argument.get_env()?.to_str().unwrap().to_owned();
            Some((variable, argument.get_help().unwrap().to_string()))
        })
        .collect();
    let example: Vec<_> = example()
        .into_iter()
        // clap takes the full stop off.
        .map(|line| (line.variable, line.text.trim_end_matches('.').to_owned()))
        .collect();
    assert_eq!(example, settings);
}

#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let example = example();
    let defaults: Vec<_> = example
        .iter()
        .filter(|line| line.text.contains("Default `"))
        .map(|line| {
            assert!(line.text.contains(&format!("Default `{}`", line.value)), "{}", line.variable);
            (line.variable.as_str(), line.value.as_str())
        })
        .collect();
    assert!(defaults.len() >= 10);
    let written: Vec<_> = needed().into_iter().chain(defaults).collect();
    assert_eq!(
        format!("{:?}", config(&written).serve().unwrap()),
        format!("{:?}", config(&needed()).serve().unwrap()),
    );
}

#[test]
fn the_example_is_refused_as_a_secret_outside_dev() {
    let secret = example().into_iter().find(|line| line.variable == "JWT_SECRET").unwrap().value;
    assert_eq!(secret, EXAMPLE_JWT_SECRET);
    let refused = serve(&[("JWT_SECRET", EXAMPLE_JWT_SECRET)]).unwrap_err();
    assert_eq!(refused, [("JWT_SECRET", "is an example that everybody knows".to_owned())]);
    assert!(config(&[("JWT_SECRET", EXAMPLE_JWT_SECRET)]).dev(&mock()).is_ok());
}

#[test]
fn dev_needs_nothing() {
    let settings = config(&[]).dev(&mock()).unwrap();
    assert_eq!(settings.auth.mode, AuthMode::Optional);
    assert_eq!(settings.public_url.to_string(), "http://127.0.0.1:3001");
    assert!(settings.twilio.is_mock());
    assert!(settings.auth.jwt_secret.is_some());
}

#[test]
fn the_mock_has_settings_of_its_own() {
    let settings = config(&[
        ("MOCK_TWILIO_WEBHOOK_URL", "http://127.0.0.1:8080/hook?shop=1"),
        ("MOCK_TWILIO_DATA", "mock.json"),
        ("MOCK_TWILIO_LATENCY_MS", "80"),
        ("MOCK_TWILIO_RATE_LIMIT", "30"),
    ]);
    let settings = settings.mock(&mock()).unwrap();
    assert_eq!(settings.webhook_url.unwrap().as_str(), "http://127.0.0.1:8080/hook?shop=1");
    assert_eq!(settings.data.unwrap().to_str(), Some("mock.json"));
    assert_eq!((settings.seed, settings.latency_ms, settings.rate_limit), (None, 80, Some(30)));

    let wrong = [
        ("MOCK_TWILIO_WEBHOOK_URL", "http://user@127.0.0.1"),
        ("MOCK_TWILIO_SEED", "/"),
        ("MOCK_TWILIO_LATENCY_MS", "soon"),
        ("MOCK_TWILIO_RATE_LIMIT", "0"),
    ];
    let mistakes = config(&wrong).mock(&mock()).unwrap_err();
    let told: Vec<_> = mistakes.mistakes().iter().map(|mistake| mistake.variable).collect();
    assert_eq!(told, wrong.map(|(variable, _)| variable));
}

#[test]
fn empty_variables_are_unset_ones() {
    let empty: Vec<_> = example().into_iter().map(|line| line.variable).collect();
    let empty: Vec<_> = empty.iter().map(|variable| (variable.as_str(), " ")).collect();
    assert_eq!(
        format!("{:?}", config(&empty).dev(&mock()).unwrap()),
        format!("{:?}", config(&[]).dev(&mock()).unwrap()),
    );
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let errors = config(&[]).serve().unwrap_err();
    let missing: Vec<_> = errors.mistakes().iter().map(|mistake| mistake.variable).collect();
    let needed: Vec<_> = needed()
        .into_iter()
        .map(|(variable, _)| variable)
        .filter(|variable| *variable != "JWT_SECRET")
        .collect();
    assert_eq!(missing, needed);
}

#[test]
fn mistakes_never_show_the_value() {
    const CANARY: &str = "s3cr3t";
    let variables = example();
    let wrong: Vec<_> = variables.iter().map(|line| (line.variable.as_str(), CANARY)).collect();
    let wrong = config(&wrong);
    assert!(!format!("{wrong:?}").contains(CANARY));
    let errors = wrong.serve().unwrap_err();
    assert!(errors.mistakes().len() >= 16, "{errors}");
    assert!(!format!("{errors} {errors:?}").contains(CANARY), "{errors}");
}

#[test]
fn settings_do_not_print_secrets() {
    let printed = format!("{:?}", serve(&[("ADAPTER_API_KEY", "canary-adapter-api-key")]).unwrap());
    assert!(!printed.contains("canary"), "{printed}");
}

#[test]
fn claimed_identities_are_not_believed_on_a_public_address_with_a_real_account() {
    let open = ("AUTH_MODE", "optional");
    let public = ("LISTEN", "0.0.0.0:3001");
    assert_eq!(serve(&[open, public]).unwrap_err()[0].0, "AUTH_MODE");
    assert!(serve(&[open]).is_ok(), "loopback");
    assert!(serve(&[public]).is_ok(), "tokens required");
    assert!(!serve(&[open, public, ("ALLOW_INSECURE", "true")]).unwrap().warnings.is_empty());
    let mock = [
        ("TWILIO_CONVERSATIONS_URL", "http://localhost:3002"),
        ("TWILIO_MEDIA_URL", "http://localhost:3002"),
    ];
    assert!(serve(&[open, public, mock[0], mock[1]]).is_ok(), "a mock");
}

#[test]
fn weak_secrets_are_refused() {
    assert_eq!(
        serve(&[("JWT_SECRET", "short")]).unwrap_err(),
        [("JWT_SECRET", "is only 5 bytes long".to_owned())]
    );
    assert_eq!(serve(&[("ADAPTER_API_KEY", "short")]).unwrap_err()[0].0, "ADAPTER_API_KEY");
}

#[test]
fn urls_that_would_leak_are_refused() {
    for url in ["http://keys.example.com", "https://user:password@keys.example.com", "ftp://keys.example.com"]
    {
        assert_eq!(serve(&[("JWT_JWKS_URL", url)]).unwrap_err()[0].0, "JWT_JWKS_URL", "{url}");
    }
    assert!(serve(&[("JWT_JWKS_URL", "http://localhost:9000/jwks.json")]).is_ok());
    assert_eq!(
        serve(&[("TWILIO_CONVERSATIONS_URL", "http://localhost:3002")]).unwrap_err()[0].0,
        "TWILIO_MEDIA_URL",
    );
}

#[test]
fn without_an_issuer_for_the_apps_tokens_serve_warns() {
    let mut flags = needed();
    flags.retain(|(variable, _)| *variable != "JWT_SECRET");
    let settings = config(&flags).serve().unwrap();
    assert!(settings.warnings.iter().any(|warning| warning.contains("only Twilio access tokens")));
}
