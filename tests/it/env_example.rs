//! `.env.example` and the settings in `config` tell the same: every variable, its text, its default.
//!
//! What the settings refuse, and in which words, is tested at the end.

use clap::{Args, Command, FromArgMatches};
use switchboard::auth::AuthMode;
use switchboard::config::{Config, EXAMPLE_JWT_SECRET, LimitSettings, MockTwilio, Settings};

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
fn dev_has_no_limits_but_those_of_memory_and_those_it_is_given() {
    let limits = |flags: &[(&str, &str)]| config(flags).dev(&mock()).unwrap().limits;
    let unset = limits(&[]);
    let bounds = LimitSettings { rooms: Some(100), sockets: Some(20_000), ..LimitSettings::default() };
    assert_eq!(unset, bounds);
    let sends = limits(&[("LIMIT_SENDS", "20/s burst 200")]).sends;
    assert_eq!(sends, serve(&[]).unwrap().limits.sends);
    assert_eq!(limits(&[("LIMIT_ROOMS", "off")]).rooms, None);
    assert_eq!(serve(&[("LIMIT_SENDS", "off")]).unwrap().limits.sends, None);
    let typing = |settings: Settings| settings.limits.bounds.typing_gap.as_millis();
    assert_eq!(typing(serve(&[]).unwrap()), 2000);
    assert_eq!(typing(serve(&[("LIMIT_EVENTS", "off")]).unwrap()), 0);
    assert_eq!(limits(&[("TYPING_GAP_MS", "500")]).bounds.typing_gap.as_millis(), 500);
}

#[test]
fn a_proxy_that_is_not_named_is_told() {
    let warned = |settings: Settings| settings.warnings.iter().any(|text| text.contains("TRUSTED_PROXIES"));
    assert!(warned(serve(&[]).unwrap()));
    assert!(!warned(serve(&[("TRUSTED_PROXIES", "10.0.0.0/8")]).unwrap()));
    assert!(!warned(serve(&[("PUBLIC_URL", "http://127.0.0.1:3001")]).unwrap()));
    assert!(!warned(config(&[("PUBLIC_URL", "https://chat.example.com")]).dev(&mock()).unwrap()));
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (variable, value) in [
        ("LIMIT_SENDS", "20"),
        ("LIMIT_SENDS", "0/s"),
        ("LIMIT_ROOMS", "0"),
        ("LIMIT_SOCKETS", "20/s"),
        ("JWT_MAX_LIFETIME_HOURS", "0"),
        ("JWT_MAX_LIFETIME_HOURS", "721"),
        ("TRUSTED_PROXIES", "the-proxy.example"),
        ("LIMIT_CONNECTIONS", "off"),
        ("LIMIT_FRAME_BYTES", "65537"),
        ("LIMIT_JSON_BYTES", "1048577"),
        ("LIMIT_WEBHOOK_BYTES", "16383"),
        ("LIMIT_SOCKET_QUEUE", "0"),
        ("LIMIT_REFUSALS", "0"),
        ("LIMIT_CODE_TRIES", "101"),
        ("LIMIT_CODE_TRIES_PER_ADDRESS", "0"),
        ("TYPING_GAP_MS", "60001"),
        ("FIRST_BYTE_SECONDS", "0"),
        ("HEAD_SECONDS", "5 s"),
        ("SOCKET_CONNECT_SECONDS", "301"),
        ("SOCKET_PING_SECONDS", "0.5"),
        ("SOCKET_PONG_SECONDS", "soon"),
        ("METRICS_KEY", "short"),
    ] {
        assert_eq!(serve(&[(variable, value)]).unwrap_err()[0].0, variable, "{value}");
    }
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
    let own = ("PUBLIC_URL", "http://localhost:3001");
    let tunnel = ("PUBLIC_URL", "https://x.ngrok.example");
    for (exposed, at) in [(&[open, public, own][..], "LISTEN"), (&[open, tunnel], "PUBLIC_URL")] {
        let (variable, problem) = serve(exposed).unwrap_err().remove(0);
        assert_eq!(variable, "AUTH_MODE");
        assert!(problem.contains(at), "{problem}");
        let allowed = [exposed, &[("ALLOW_INSECURE", "true")]].concat();
        assert!(serve(&allowed).is_ok(), "{exposed:?}");
    }
    assert!(serve(&[open, own]).is_ok(), "loopback");
    assert!(serve(&[public, tunnel]).is_ok(), "tokens required");
    assert!(!serve(&[open, public, ("ALLOW_INSECURE", "true")]).unwrap().warnings.is_empty());
    let mock = [
        ("TWILIO_CONVERSATIONS_URL", "http://localhost:3002"),
        ("TWILIO_MEDIA_URL", "http://localhost:3002"),
    ];
    assert!(serve(&[open, public, tunnel, mock[0], mock[1]]).is_ok(), "a mock");
}

#[test]
fn tokens_that_everybody_can_sign_are_not_believed_there_either() {
    let public = ("LISTEN", "0.0.0.0:3001");
    let real = ("TWILIO_CONVERSATIONS_URL", "https://conversations.twilio.com");
    let media = ("TWILIO_MEDIA_URL", "https://mcs.us1.twilio.com");
    let dev = |more: &[(&'static str, &'static str)]| {
        let credentials =
            needed().into_iter().filter(|(variable, _)| !["JWT_SECRET", "PUBLIC_URL"].contains(variable));
        let flags = [real, media, ("AUTH_MODE", "required")].into_iter().chain(more.iter().copied());
        let flags: Vec<_> = credentials.chain(flags).collect();
        config(&flags).dev(&mock()).map_err(|errors| errors.mistakes()[0].variable)
    };
    assert_eq!(dev(&[public]).map(drop), Err("JWT_SECRET"), "dev's own");
    assert_eq!(dev(&[public, ("JWT_SECRET", "short")]).map(drop), Err("JWT_SECRET"));
    assert_eq!(dev(&[public, ("JWT_SECRET", EXAMPLE_JWT_SECRET)]).map(drop), Err("JWT_SECRET"));
    assert!(dev(&[public, ("JWT_SECRET", "0123456789abcdef0123456789abcdef")]).is_ok());
    let tunnel = ("PUBLIC_URL", "https://x.ngrok.example");
    assert_eq!(dev(&[tunnel]).map(drop), Err("JWT_SECRET"), "dev's own behind a tunnel");
    assert!(dev(&[]).is_ok(), "loopback");
    assert!(config(&[public]).dev(&mock()).is_ok(), "a mock");
}

#[test]
fn keys_that_sign_for_many_apps_need_to_be_told_which() {
    let keys = ("JWT_JWKS_URL", "https://login.example.com/jwks.json");
    let refused = serve(&[keys]).unwrap_err();
    assert_eq!(refused.iter().map(|(variable, _)| *variable).collect::<Vec<_>>(), ["JWT_AUDIENCE"]);
    for said in
        [("JWT_AUDIENCE", "chat"), ("JWT_ISSUER", "https://login.example.com/"), ("ALLOW_INSECURE", "true")]
    {
        assert!(serve(&[keys, said]).is_ok(), "{said:?}");
    }
    for blank in [("JWT_AUDIENCE", " "), ("JWT_ISSUER", "")] {
        assert!(serve(&[keys, blank]).is_err(), "{blank:?}");
    }
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
    assert!(serve(&[("JWT_JWKS_URL", "http://localhost:9000/jwks.json"), ("JWT_ISSUER", "me")]).is_ok());
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

#[test]
fn text_messages_go_to_the_country_of_our_own_number_unless_others_are_named() {
    let countries = |flags: &[(&'static str, &'static str)]| serve(flags).unwrap().sms.countries;
    let british = ("TWILIO_PHONE_NUMBER", "+447400123456");
    assert!(countries(&[british]).include("+447400123456"));
    assert!(!countries(&[british]).include("+12025550143"));
    assert!(countries(&[british, ("SMS_COUNTRIES", "us, CA")]).include("+12025550143"));
    assert!(!countries(&[british, ("SMS_COUNTRIES", "us, CA")]).include("+447400123456"));
    assert!(countries(&[british, ("SMS_COUNTRIES", "*")]).include("+37120000000"));
    let nowhere = serve(&[("TWILIO_PHONE_NUMBER", "+9990000000")]).unwrap();
    assert!(
        nowhere.warnings.iter().any(|warning| warning.contains("SMS_COUNTRIES")),
        "{:?}",
        nowhere.warnings
    );
    assert!(config(&[]).dev(&mock()).unwrap().sms.countries.include("+15551230001"), "a mock sends nothing");
    for (variable, value) in [
        ("SMS_COUNTRIES", "USA"),
        ("SMS_COUNTRIES", ","),
        ("SMS_DAILY_CAP", "many"),
        ("SMS_DAILY_TEXTS", "lots"),
        ("SMS_FALLBACK", "yes"),
    ] {
        assert_eq!(serve(&[(variable, value)]).unwrap_err()[0].0, variable, "{value}");
    }
}

#[test]
fn a_fallback_to_text_messages_needs_a_number() {
    let problem = "is needed where SMS_FALLBACK is true".to_owned();
    assert_eq!(serve(&[("SMS_FALLBACK", "true")]).unwrap_err(), [("TWILIO_PHONE_NUMBER", problem)]);
    let number = ("TWILIO_PHONE_NUMBER", "+15017122661");
    assert!(serve(&[("SMS_FALLBACK", "true"), number]).unwrap().sms.fallback);
    assert!(config(&[("SMS_FALLBACK", "true")]).dev(&mock()).is_ok(), "the mock has one");
}
