//! Every operation of Twilio's OpenAPI file, asked of the mock and held to the file's own schema; `docs/mock-coverage.md`
//! is written from what comes back.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::dictionary;
use super::schema::problems;
use super::twilio::{Answer, Twilio, fixture};

/// One operation of the file.
struct Operation {
    id: String,
    method: String,
    path: String,
    /// The names of its form.
    parameters: BTreeSet<String>,
    /// Most rows of a page, if it is a list.
    most: Option<u64>,
    /// The schema of each answer it may give; null for one without a body.
    answers: Vec<(u16, Value)>,
}

fn operations(file: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in file["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let form = operation.pointer("/requestBody/content/application~1x-www-form-urlencoded/schema");
            let parameters = form.and_then(|form| form["properties"].as_object());
            let answers = operation["responses"].as_object().unwrap().iter().map(|(status, answer)| {
                let schema = answer.pointer("/content/application~1json/schema").cloned();
                (status.parse().unwrap(), schema.unwrap_or(Value::Null))
            });
            let query = operation["parameters"].as_array().into_iter().flatten();
            let mut page_size = query.filter(|parameter| parameter["name"] == "PageSize");
            found.push(Operation {
                most: page_size.next().and_then(|size| size["schema"]["maximum"].as_u64()),
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters.into_iter().flat_map(|all| all.keys().cloned()).collect(),
                answers: answers.collect(),
            });
        }
    }
    found
}

/// One of each resource, made for one operation, so that operations cannot spoil each other's.
struct Scene {
    number: usize,
    service: String,
    conversation: String,
    participant: String,
    message: String,
    receipt: String,
    webhook: String,
    identity: String,
    user: String,
    role: String,
    user_role: String,
    credential: String,
    binding: String,
    address: String,
    media: String,
    /// For the operations on services themselves, which would leave nothing of the first one.
    other_service: String,
}

const MESSAGING_SERVICE: &str = "MGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const DATE: &str = "2015-12-16T22:18:37Z";

impl Scene {
    async fn set(twilio: &Twilio, number: usize) -> Self {
        let identity = format!("user{number}");
        let made = twilio.post("/v1/Conversations", &[("UniqueName", &format!("scene {number}"))]).await;
        let conversation = made.expect(201).sid();
        let path = format!("/v1/Conversations/{conversation}");
        let participant = twilio.join(&path, &identity).await;
        twilio.join_by_sms(&path, &format!("+15558{number:06}")).await;
        let message = twilio.write(&path, &identity, "Hello").await.sid();
        let receipts = twilio.get(&format!("{path}/Messages/{message}/Receipts")).await.expect(200);
        let webhook = [
            ("Target", "webhook"),
            ("Configuration.Url", "https://example.com"),
            ("Configuration.Filters", "onMessageAdded"),
        ];
        let webhook = twilio.post(&format!("{path}/Webhooks"), &webhook).await.expect(201).sid();
        let role = async |kind: &str| {
            let form = [("FriendlyName", "role"), ("Type", kind), ("Permission", "sendMessage")];
            twilio.post("/v1/Roles", &form).await.expect(201).sid()
        };
        let credential = twilio.post("/v1/Credentials", &[("Type", "apn")]).await.expect(201).sid();
        let device = json!({"identity": identity, "binding_type": "apn", "credential_sid": credential});
        let binding = twilio.control("/_mock/bindings", &device).await.expect(201).sid();
        let address = format!("+15559{number:06}");
        let address = [("Type", "sms"), ("Address", address.as_str())];
        let address = twilio.post("/v1/Configuration/Addresses", &address).await.expect(201).sid();
        let service = [("FriendlyName", "Other")];
        Self {
            number,
            service: twilio.mock.service_sid().to_owned(),
            conversation,
            participant,
            message,
            receipt: receipts.body["delivery_receipts"][0]["sid"].as_str().unwrap().to_owned(),
            webhook,
            user: twilio.get(&format!("/v1/Users/{identity}")).await.expect(200).sid(),
            identity,
            role: role("conversation").await,
            user_role: role("service").await,
            credential,
            binding,
            address,
            media: twilio.upload("", "image/png", vec![1, 2, 3]).await.expect(201).sid(),
            other_service: twilio.post("/v1/Services", &service).await.expect(201).sid(),
        }
    }

    /// The path with a SID for each name in braces, which the segment before it tells.
    fn path(&self, template: &str) -> String {
        let mut path = String::new();
        let mut before = "";
        for segment in template.split('/').skip(1) {
            let segment_or_sid = match (segment.starts_with('{'), before) {
                (false, _) => segment,
                (true, "Services") if segment == "{Sid}" => &self.other_service,
                (true, "Services") => &self.service,
                (true, "Conversations") => &self.conversation,
                (true, "Participants") => &self.participant,
                (true, "Messages") => &self.message,
                (true, "Receipts") => &self.receipt,
                (true, "Webhooks") => &self.webhook,
                (true, "Users") => &self.user,
                (true, "Roles") => &self.role,
                (true, "Credentials") => &self.credential,
                (true, "Bindings") => &self.binding,
                (true, "Addresses") => &self.address,
                (true, other) => panic!("{other} has no {segment} here"),
            };
            write!(path, "/{segment_or_sid}").unwrap();
            before = segment;
        }
        if path.ends_with("/ParticipantConversations") {
            write!(path, "?Identity={}", self.identity).unwrap();
        }
        path
    }

    /// The form of an operation, by the last nouns of its path.
    fn form(&self, template: &str) -> Vec<(String, String)> {
        let nouns: Vec<&str> = template.split('/').filter(|segment| !segment.starts_with('{')).collect();
        let one = template.ends_with('}');
        let scoped = template.starts_with("/v1/Services/{ChatServiceSid}");
        let form: Vec<(&str, &str)> = match nouns[nouns.len() - 2..] {
            ["Users", "Conversations"] => {
                let index = [("NotificationLevel", "Muted"), ("LastReadMessageIndex", "0")];
                [&index[..], &[("LastReadTimestamp", DATE)]].concat()
            }
            [_, "Conversations"] if one => CONVERSATION.to_vec(),
            [_, "Conversations" | "ConversationWithParticipants"] => {
                let mut form = CONVERSATION.to_vec();
                if nouns.contains(&"ConversationWithParticipants") {
                    form.push(("Participant", r#"{"identity":"user1"}"#));
                    form.push(("Participant", r#"{"identity":"user2","attributes":"{\"a\":1}"}"#));
                }
                form
            }
            [_, "Participants"] if one => vec![
                ("Identity", &self.identity),
                ("Attributes", "{}"),
                ("RoleSid", &self.role),
                ("LastReadMessageIndex", "0"),
                ("LastReadTimestamp", DATE),
                ("DateCreated", DATE),
                ("DateUpdated", DATE),
            ],
            [_, "Participants"] => vec![
                ("MessagingBinding.Address", "whatsapp:+15558675310"),
                ("MessagingBinding.ProxyAddress", "whatsapp:+15005550006"),
                ("Attributes", "{}"),
                ("RoleSid", &self.role),
                ("DateCreated", DATE),
                ("DateUpdated", DATE),
            ],
            [_, "Messages"] => {
                let mut form = vec![
                    ("Author", self.identity.as_str()),
                    ("Body", "Hi"),
                    ("Attributes", "{}"),
                    ("Subject", "Re: hello"),
                    ("DateCreated", DATE),
                    ("DateUpdated", DATE),
                ];
                if !one {
                    form.push(("MediaSid", &self.media));
                    form.push(("ContentSid", "HXaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
                    form.push(("ContentVariables", r#"{"1":"John"}"#));
                }
                form
            }
            ["Configuration", "Webhooks"] => {
                let mut form = vec![
                    ("Method", "Get"),
                    ("Filters", "onMessageAdded"),
                    ("Filters", "onMessageAdd"),
                    ("PreWebhookUrl", "https://example.com/pre"),
                    ("PostWebhookUrl", ""),
                ];
                if !scoped {
                    form.push(("Target", "Webhook"));
                }
                form
            }
            [_, "Webhooks"] => {
                let mut form = vec![
                    ("Configuration.Url", "https://example.com"),
                    ("Configuration.Method", "Post"),
                    ("Configuration.Filters", "onMessageAdded"),
                    ("Configuration.Triggers", "help"),
                    ("Configuration.FlowSid", "FWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                ];
                if !one {
                    form.extend([("Target", "Webhook"), ("Configuration.ReplayAfter", "0")]);
                }
                form
            }
            [_, "Users"] => {
                let mut form = vec![
                    ("FriendlyName", "Name"),
                    ("Attributes", "{}"),
                    ("RoleSid", self.user_role.as_str()),
                ];
                if !one {
                    form.push(("Identity", "somebody"));
                }
                form
            }
            [_, "Roles"] if one => vec![("Permission", "sendMessage"), ("Permission", "leaveConversation")],
            [_, "Roles"] => {
                vec![("FriendlyName", "role"), ("Type", "Conversation"), ("Permission", "sendMessage")]
            }
            [_, "Services"] => vec![("FriendlyName", "Service")],
            [_, "Configuration"] if scoped => vec![
                ("DefaultConversationCreatorRoleSid", self.role.as_str()),
                ("DefaultConversationRoleSid", &self.role),
                ("DefaultChatServiceRoleSid", &self.user_role),
                ("ReachabilityEnabled", "true"),
            ],
            [_, "Configuration"] => vec![
                ("DefaultChatServiceSid", self.service.as_str()),
                ("DefaultMessagingServiceSid", MESSAGING_SERVICE),
                ("DefaultInactiveTimer", "PT1M"),
                ("DefaultClosedTimer", "PT10M"),
            ],
            [_, "Notifications"] => vec![
                ("LogEnabled", "true"),
                ("NewMessage.Enabled", "true"),
                ("NewMessage.Template", "${MESSAGE}"),
                ("NewMessage.Sound", "ring"),
                ("NewMessage.BadgeCountEnabled", "true"),
                ("NewMessage.WithMedia.Enabled", "true"),
                ("NewMessage.WithMedia.Template", "${MEDIA}"),
                ("AddedToConversation.Enabled", "true"),
                ("AddedToConversation.Template", "${CONVERSATION}"),
                ("AddedToConversation.Sound", "ring"),
                ("RemovedFromConversation.Enabled", "false"),
                ("RemovedFromConversation.Template", "${CONVERSATION}"),
                ("RemovedFromConversation.Sound", "ring"),
            ],
            [_, "Credentials"] => vec![
                ("Type", "FcM"),
                ("FriendlyName", "Push"),
                ("Certificate", "-----BEGIN CERTIFICATE-----"),
                ("PrivateKey", "-----BEGIN RSA PRIVATE KEY-----"),
                ("Sandbox", "true"),
                ("ApiKey", "key"),
                ("Secret", "secret"),
            ],
            [_, "Addresses"] => {
                let mut form = vec![
                    ("FriendlyName", "Front desk"),
                    ("AutoCreation.Enabled", "true"),
                    ("AutoCreation.Type", "webhook"),
                    ("AutoCreation.ConversationServiceSid", self.service.as_str()),
                    ("AutoCreation.WebhookUrl", "https://example.com"),
                    ("AutoCreation.WebhookMethod", "post"),
                    ("AutoCreation.WebhookFilters", "onMessageAdded"),
                    ("AutoCreation.WebhookFilters", "onParticipantAdded"),
                    ("AutoCreation.StudioFlowSid", "FWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                    ("AutoCreation.StudioRetryCount", "3"),
                ];
                if !one {
                    form.extend([("Type", "whAtsAPP"), ("Address", "whatsapp:+15005550006")]);
                    form.push(("AddressCountry", "CA"));
                }
                form
            }
            ref other => panic!("no form for {other:?}"),
        };
        // What may be there once only.
        let own = |name: &str, value: &str| match name {
            "UniqueName" => format!("{value} {}", self.number),
            "Identity" if !one => format!("{value} {}", self.number),
            "MessagingBinding.Address" => format!("whatsapp:+15557{:06}", self.number),
            _ => value.to_owned(),
        };
        form.into_iter().map(|(name, value)| (name.to_owned(), own(name, value))).collect()
    }
}

const CONVERSATION: &[(&str, &str)] = &[
    ("FriendlyName", "Home Repair Visit"),
    ("UniqueName", "visit"),
    ("Attributes", r#"{"topic":"feedback"}"#),
    ("MessagingServiceSid", MESSAGING_SERVICE),
    ("State", "Inactive"),
    ("Timers.Inactive", "PT1M"),
    ("Timers.Closed", "PT10M"),
    ("Bindings.Email.Address", "desk@example.com"),
    ("Bindings.Email.Name", "Front desk"),
    ("DateCreated", DATE),
    ("DateUpdated", DATE),
];

/// Parameters that exclude others of the same form; `rules.rs` and `groups.rs` send them.
const ALTERNATIVES: [&str; 3] =
    ["Identity", "MessagingBinding.ProxyAddress", "MessagingBinding.ProjectedAddress"];

/// The path with its last SID replaced by one that nothing has.
fn of_nobody(path: &str) -> Option<String> {
    let is_sid =
        |segment: &&str| segment.len() == 34 && segment[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
    let sid = path.split(['/', '?']).rfind(is_sid)?;
    Some(path.replace(sid, &format!("{}{}", &sid[..2], "0".repeat(32))))
}

async fn ask(twilio: &Twilio, method: &str, path: &str, form: &[(String, String)]) -> Answer {
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match method {
        "GET" => twilio.get(path).await,
        "POST" => twilio.post(path, &form).await,
        "DELETE" => twilio.delete(path).await,
        other => panic!("{other} is not asked here"),
    }
}

fn check(file: &Value, operation: &Operation, answer: &Answer) {
    let name = &operation.id;
    let known = operation.answers.iter().find(|(status, _)| *status == answer.status);
    let (_, schema) = known.unwrap_or_else(|| panic!("{name}: {answer:?}"));
    if schema.is_null() {
        assert_eq!(answer.body, Value::Null, "{name}");
        return;
    }
    let found = problems(file, schema, &answer.body);
    assert!(found.is_empty(), "{name}: {found:#?}");
    if let Some(key) = answer.body["meta"]["key"].as_str() {
        assert!(!answer.body[key].as_array().unwrap().is_empty(), "{name}: an empty list shows nothing");
    }
}

#[tokio::test]
async fn every_operation_of_twilios_openapi_file_is_answered_as_its_schema_says() {
    let file: Value = serde_json::from_str(&fixture("openapi.json")).unwrap();
    let operations = operations(&file);
    let twilio = Twilio::start().await;
    let mut table = String::new();
    for (number, operation) in operations.iter().enumerate() {
        let scene = Scene::set(&twilio, number).await;
        let path = scene.path(&operation.path);
        let form = if operation.method == "POST" { scene.form(&operation.path) } else { Vec::new() };
        let sent: BTreeSet<String> = form.iter().map(|(name, _)| name.clone()).collect();
        let left_out = operation.parameters.difference(&sent);
        let left_out: Vec<_> = left_out.filter(|name| !ALTERNATIVES.contains(&name.as_str())).collect();
        assert!(left_out.is_empty(), "{} is never asked with {left_out:?}", operation.id);

        if let Some(nowhere) = of_nobody(&path) {
            let answer = ask(&twilio, &operation.method, &nowhere, &form).await.refused(404, 20404);
            let path = nowhere.trim_start_matches("/v1").split('?').next().unwrap();
            assert_eq!(answer.text("message"), format!("The requested resource {path} was not found"));
        }
        let answer = ask(&twilio, &operation.method, &path, &form).await;
        check(&file, operation, &answer);
        if let Some(most) = operation.most {
            let query = if path.contains('?') { '&' } else { '?' };
            let large = twilio.get(&format!("{path}{query}PageSize=5000")).await.expect(200);
            assert_eq!(large.body["meta"]["page_size"], most, "{}", operation.id);
        }
        let Operation { id, method, path, .. } = operation;
        writeln!(table, "| `{id}` | `{method} {path}` | {} |", answer.status).unwrap();
    }
    let beside = beside_the_file(&twilio, operations.len()).await;
    let document = document(operations.len(), &table, &beside);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mock-coverage.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == document, "{path} is out of date; UPDATE_DOCS=1 writes it anew");
}

/// What clients ask for that is not in the file: the media service, and two links of bodies that no page describes.
async fn beside_the_file(twilio: &Twilio, number: usize) -> String {
    let scene = Scene::set(twilio, number).await;
    let Scene { service, conversation, message, media, .. } = &scene;
    let mut table = String::new();
    let mut note = |what: &str, answer: &Answer, why: &str| {
        let code = answer.body["code"].as_u64().filter(|_| answer.status >= 400);
        let code = code.map_or(String::new(), |code| format!(", code {code}"));
        writeln!(table, "| `{what}` | {}{code} | {why} |", answer.status).unwrap();
    };
    let answer = twilio.upload("?Filename=a.png", "image/png", vec![1]).await.expect(201);
    note("POST /v1/Services/{ChatServiceSid}/Media", &answer, "the body is the file");
    let path = format!("/v1/Services/{service}/Media/{media}");
    let answer = twilio.get(&path).await.expect(200);
    note("GET /v1/Services/{ChatServiceSid}/Media/{Sid}", &answer, "with a fresh temporary address");
    let answer = twilio.get(&format!("{path}/Content")).await.expect(200);
    note("GET /v1/Services/{ChatServiceSid}/Media/{Sid}/Content", &answer, "the file itself");
    let set = json!({"command": "get", "list": [{"media_sid": media}]});
    let url = twilio.url(&format!("/v1/Services/{service}/MediaSet"));
    let request = twilio.http.post(url).json(&set);
    let request = request.basic_auth(twilio.mock.account_sid(), Some(twilio.mock.auth_token()));
    let answer = twilio.send(request).await.expect(200);
    note("POST /v1/Services/{ChatServiceSid}/MediaSet", &answer, "many at once, in JSON");
    let answer = twilio.delete(&path).await.expect(204);
    note("DELETE /v1/Services/{ChatServiceSid}/Media/{Sid}", &answer, "");
    let metadata = format!("/v1/Conversations/{conversation}/Messages/{message}/ChannelMetadata");
    let answer = twilio.get(&metadata).await.refused(404, 50530);
    let why = "a link of every message; no message of the mock came with any";
    note("GET /v1/Conversations/{ConversationSid}/Messages/{Sid}/ChannelMetadata", &answer, why);
    let answer = twilio.get(&format!("/v1/Conversations/{conversation}/Export")).await.refused(404, 20404);
    let why = "a link of every conversation; neither the file nor a page says what it leads to";
    note("GET /v1/Conversations/{Sid}/Export", &answer, why);
    table
}

fn document(count: usize, table: &str, beside: &str) -> String {
    format!(
        "# What of Twilio Conversations v1 the mock answers\n\
         \n\
         Written by `tests/it/mock/openapi.rs` (`UPDATE_DOCS=1 cargo test --test it openapi`), which asks a running mock\n\
         for every operation in `fixtures/twilio/openapi.json`, with every parameter, and holds the answer to its schema.\n\
         \n\
         All {count} operations of the file are answered; none is refused.\n\
         \n\
         | operation | request | answer |\n\
         | --- | --- | --- |\n\
         {table}\n\
         ## Beside the file\n\
         \n\
         The media service, which has no OpenAPI file, and links in Twilio's bodies that lead outside of it.\n\
         \n\
         | request | answer | |\n\
         | --- | --- | --- |\n\
         {beside}\n\
         ## Refusals\n\
         \n\
         Besides 404 for whatever is not there, with the path in its text.\n\
         \n\
         | code | status | text |\n\
         | --- | --- | --- |\n\
         {refusals}",
        refusals = dictionary::table(),
    )
}
