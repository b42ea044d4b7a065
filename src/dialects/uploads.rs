//! The one file of a `multipart/form-data` body, taken to disk piece by piece. Which field it is in, and what comes of it, is
//! each dialect's.

use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_ENCODING;

use crate::core::{Arriving, Core, Error, UPLOAD_BYTES};

/// Bytes of an upload's body: the file, and what stands around it.
pub(super) const BODY_BYTES: usize = UPLOAD_BYTES as usize + 64 * 1024;
/// Fields of one body.
const FIELDS_AT_MOST: usize = 20;
/// Bytes of all fields that are no file.
const OTHER_BYTES: usize = 16 * 1024;

/// A file that has arrived, and what its sender calls it.
pub(super) struct Uploaded {
    pub(super) file: Arriving,
    pub(super) filename: Option<String>,
}

/// The file in one of `fields`, of which there must be exactly one.
pub(super) async fn uploaded(core: &Core, request: Request, fields: &[&str]) -> Result<Uploaded, Error> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        // What is small on the wire must not become large here.
        return Err(Error::UnsupportedMediaType);
    }
    let mut body =
        Multipart::from_request(request, &()).await.map_err(|rejection| of_rejection(&rejection))?;
    let mut found = None;
    let mut others = 0;
    for _ in 0..=FIELDS_AT_MOST {
        let Some(field) = body.next_field().await.map_err(|error| of_body(&error))? else {
            return found.ok_or_else(|| Error::invalid("file", "is missing"));
        };
        if !field.name().is_some_and(|name| fields.contains(&name)) {
            others += skip(field, OTHER_BYTES.saturating_sub(others)).await?;
        } else if found.is_some() {
            return Err(Error::invalid("file", "must be one file"));
        } else {
            found = Some(take(core, field).await?);
        }
    }
    Err(Error::invalid("file", "must be sent with fewer other fields"))
}

async fn take(core: &Core, mut field: Field<'_>) -> Result<Uploaded, Error> {
    let filename = field.file_name().map(str::to_owned);
    let mut file = core.expect_upload().await?;
    while let Some(piece) = field.chunk().await.map_err(|error| of_body(&error))? {
        file.write(&piece).await?;
    }
    Ok(Uploaded { file, filename })
}

async fn skip(mut field: Field<'_>, at_most: usize) -> Result<usize, Error> {
    let mut bytes = 0;
    while let Some(piece) = field.chunk().await.map_err(|error| of_body(&error))? {
        bytes += piece.len();
        if bytes > at_most {
            return Err(Error::TooLarge);
        }
    }
    Ok(bytes)
}

fn of_rejection(rejection: &MultipartRejection) -> Error {
    tracing::debug!(%rejection, "an upload is no multipart body");
    Error::UnsupportedMediaType
}

fn of_body(error: &MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge
    } else {
        Error::Unreadable("the upload broke off, came too slowly, or is not well-formed".to_owned())
    }
}
