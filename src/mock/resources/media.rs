//! Media (MCS): upload, fetch, content, and signed addresses that expire.
//!
//! On Twilio this is another host (`mcs.us1.twilio.com`); the mock serves both on one port.
//! Source: <https://www.twilio.com/docs/conversations/api/media-resource>

use axum::extract::{Query, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_media;
use crate::mock::error::Refusal;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::sid::{Sid, prefix};
use crate::mock::signature::{constant_time_eq, sign_download};
use crate::mock::state::{Service, State, Tenant};

const MOST_FILENAME: usize = 256;

/// Most media in one MediaSet request.
const MOST_IN_A_SET: usize = 100;

/// One uploaded file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Media {
    sid: Sid,
    service_sid: Sid,
    content_type: String,
    filename: Option<String>,
    category: String,
    author: String,
    #[serde(with = "crate::mock::snapshot::as_base64")]
    bytes: Bytes,
    /// The conversation and message it was sent with; once is all.
    pub(crate) attached_to: Option<(Sid, Sid)>,
    date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
}

/// What a message says about its media.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) sid: Sid,
    size: usize,
    content_type: String,
    filename: Option<String>,
    category: String,
}

impl Attachment {
    /// As message bodies have it.
    pub(crate) fn body(&self) -> Value {
        json!({
            "sid": self.sid,
            "size": self.size,
            "content_type": self.content_type,
            "filename": self.filename,
            "category": self.category,
        })
    }

    /// As webhooks have it.
    pub(crate) fn webhook_body(&self) -> Value {
        let mut body = json!({ "Sid": self.sid, "ContentType": self.content_type, "Size": self.size });
        if let Some(filename) = &self.filename {
            body["Filename"] = filename.clone().into();
        }
        body
    }
}

/// A file to be stored.
#[derive(Debug)]
pub(crate) struct NewMedia {
    pub(crate) content_type: String,
    pub(crate) filename: Option<String>,
    pub(crate) category: String,
    pub(crate) author: String,
    pub(crate) bytes: Bytes,
}

impl Media {
    pub(crate) fn attachment(&self) -> Attachment {
        Attachment {
            sid: self.sid,
            size: self.bytes.len(),
            content_type: self.content_type.clone(),
            filename: self.filename.clone(),
            category: self.category.clone(),
        }
    }

    fn body(&self, call: &Call, tenant: &Tenant) -> Value {
        let url = format!("/v1/Services/{}/Media/{}", self.service_sid, self.sid);
        json!({
            "sid": self.sid,
            "service_sid": self.service_sid,
            "channel_sid": self.attached_to.map(|(conversation, _)| conversation),
            "message_sid": self.attached_to.map(|(_, message)| message),
            "date_created": in_media(self.date_created),
            "date_upload_updated": in_media(self.date_created),
            "date_updated": in_media(self.date_updated),
            "size": self.bytes.len(),
            "content_type": self.content_type,
            "filename": self.filename,
            "author": self.author,
            "category": self.category,
            "is_multipart_upstream": false,
            "links": {
                "content": format!("{url}/Content"),
                "content_direct_temporary":
                    temporary_url(call.base(), tenant, self.sid, call.origin().now),
            },
            "url": url,
        })
    }
}

/// An address of the file that needs no credentials, for a while. Its key names the account that signed it.
pub(crate) fn temporary_url(base: &str, tenant: &Tenant, sid: Sid, now: DateTime<Utc>) -> String {
    let lifetime = TimeDelta::seconds(i64::from(tenant.switches.media_address_seconds));
    let expires = (now + lifetime).timestamp();
    let signature = sign_download(&tenant.auth_token, sid, expires);
    let account_sid = tenant.account_sid;
    format!("{base}/media/{sid}?Expires={expires}&Signature={signature}&Key-Pair-Id={account_sid}")
}

impl Service {
    /// Stores a file.
    pub(crate) fn add_media(&mut self, new: NewMedia, now: DateTime<Utc>) -> Sid {
        let sid = Sid::random(prefix::MEDIA);
        let media = Media {
            sid,
            service_sid: self.sid,
            content_type: new.content_type,
            filename: new.filename,
            category: new.category,
            author: new.author,
            bytes: new.bytes,
            attached_to: None,
            date_created: now,
            date_updated: now,
        };
        self.media.insert(sid, media);
        sid
    }
}

/// Whether the body of this request is a file.
pub(crate) fn is_upload(method: &Method, path: &str) -> bool {
    let service = path.strip_prefix("/v1/Services/").and_then(|path| path.strip_suffix("/Media"));
    method == Method::POST && service.is_some_and(|service| !service.contains('/'))
}

fn find_media<'a>(call: &Call, tenant: &'a Tenant) -> Result<&'a Media, Refusal> {
    let service = tenant.service(call.service_sid(tenant)?)?;
    Sid::parse(prefix::MEDIA, call.segment("media"))
        .and_then(|sid| service.media.get(&sid))
        .ok_or_else(|| call.not_found())
}

/// `POST /v1/Services/{service}/Media`: the bytes of the file as they are.
pub(crate) fn upload(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let category = match call.query().text("Category")? {
        None => "media",
        Some(category @ ("media" | "body" | "history")) => category,
        Some(_) => return Err(Refusal::invalid_parameter("Category", "is none of media, body, history")),
    };
    let too_long = Refusal::invalid_parameter("Filename", "is too long");
    let filename = call.query().text_up_to("Filename", MOST_FILENAME, too_long)?.map(str::to_owned);
    let new = NewMedia {
        content_type: call.header(CONTENT_TYPE).unwrap_or("application/octet-stream").to_owned(),
        filename,
        category: category.to_owned(),
        author: call.identity().unwrap_or("system").to_owned(),
        bytes: call.body().clone(),
    };
    let service = tenant.service_mut(service_sid)?;
    let sid = service.add_media(new, call.origin().now);
    let media = tenant.service(service_sid)?.media.get(&sid).ok_or_else(|| call.not_found())?;
    Ok(Answer::Created(media.body(call, tenant)))
}

/// `GET /v1/Services/{service}/Media/{media}`: a fresh temporary address each time.
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(find_media(call, tenant)?.body(call, tenant)))
}

/// `GET /v1/Services/{service}/Media/{media}/Content`
pub(crate) fn content(call: &Call, tenant: &mut Tenant) -> Outcome {
    let media = find_media(call, tenant)?;
    Ok(Answer::File { content_type: media.content_type.clone(), bytes: media.bytes.clone() })
}

/// `DELETE /v1/Services/{service}/Media/{media}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = find_media(call, tenant)?.sid;
    let service_sid = call.service_sid(tenant)?;
    tenant.service_mut(service_sid)?.media.remove(&sid);
    Ok(Answer::Deleted)
}

#[derive(Deserialize)]
struct MediaSet {
    command: String,
    list: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    media_sid: String,
}

/// `POST /v1/Services/{service}/MediaSet` `{"command":"get","list":[{"media_sid":"ME…"}]}`
pub(crate) fn set(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service = tenant.service(call.service_sid(tenant)?)?;
    let wanted = serde_json::from_slice::<MediaSet>(call.body())
        .ok()
        .filter(|wanted| wanted.command == "get" && wanted.list.len() <= MOST_IN_A_SET)
        .ok_or_else(|| Refusal::invalid_parameter("body", "is not a MediaSet request"))?;
    let records = wanted.list.iter().map(|wanted| {
        match Sid::parse(prefix::MEDIA, &wanted.media_sid).and_then(|sid| service.media.get(&sid)) {
            Some(media) => json!({ "code": 200, "media_record": media.body(call, tenant) }),
            None => json!({ "code": 404, "media_record": null }),
        }
    });
    Ok(Answer::Ok(records.collect()))
}

/// The query of a temporary address.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Signed {
    expires: Option<i64>,
    signature: Option<String>,
    #[serde(rename = "Key-Pair-Id")]
    key_pair_id: Option<String>,
}

/// `GET /media/{media}?Expires=…&Signature=…`: no credentials, 403 when expired or not signed by the mock.
pub(crate) async fn download(
    Shared(state): Shared<State>,
    axum::extract::Path(text): axum::extract::Path<String>,
    signed: Result<Query<Signed>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Some(sid) = Sid::parse(prefix::MEDIA, &text) else { return StatusCode::FORBIDDEN.into_response() };
    let Ok(Query(Signed { expires: Some(expires), signature: Some(signature), key_pair_id: Some(key) })) =
        signed
    else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Some(account) = state.account(&key) else { return StatusCode::FORBIDDEN.into_response() };
    let now = account.clock().now().timestamp();
    let found = account.look(|tenant| {
        let genuine = constant_time_eq(&signature, &sign_download(&tenant.auth_token, sid, expires));
        if !genuine || now > expires {
            return None;
        }
        let media = tenant.services.values().find_map(|service| service.media.get(&sid))?;
        Some((media.content_type.clone(), media.bytes.clone()))
    });
    match found {
        None => StatusCode::FORBIDDEN.into_response(),
        Some((content_type, bytes)) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            let content_type = HeaderValue::from_str(&content_type).unwrap_or(octets);
            ([(CONTENT_TYPE, content_type)], bytes).into_response()
        }
    }
}
