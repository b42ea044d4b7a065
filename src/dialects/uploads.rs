//! The one file of a `multipart/form-data` body, taken to disk piece by piece. Which field it is in, and what comes of it, is
//! each dialect's.
//!
//! What stands around the fields has no end of its own, and whoever parses it keeps it in memory: hence [`Pieces`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use futures::{Stream, StreamExt};
use multer::{Field, Multipart};

use crate::auth::Caller;
use crate::core::{Arriving, Core, Error, UPLOAD_BYTES};
use crate::limits::ClientAddress;

/// Bytes of an upload's body: the file, and what stands around it.
const BODY_BYTES: u64 = UPLOAD_BYTES + 64 * 1024;
/// Fields of one body.
const FIELDS_AT_MOST: usize = 20;
/// Bytes of all fields that are no file.
const OTHER_BYTES: usize = 16 * 1024;
/// Bytes that are in no field, which are what stands before, between and after them; with them, a piece of a field that is
/// still to be handed on.
const HELD_BYTES: usize = 192 * 1024;

/// A file that has arrived, and what its sender calls it.
pub(super) struct Uploaded {
    pub(super) file: Arriving,
    pub(super) filename: Option<String>,
}

/// The file in one of `fields`, of which there must be exactly one, from `caller`.
pub(super) async fn uploaded(
    core: &Core,
    caller: &Caller,
    request: Request,
    fields: &[&str],
) -> Result<Uploaded, Error> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        // What is small on the wire must not become large here.
        return Err(Error::UnsupportedMediaType);
    }
    let boundary = boundary_of(&request)?;
    if request.body().size_hint().lower() > BODY_BYTES {
        return Err(Error::TooLarge);
    }
    let from = request.extensions().get::<ClientAddress>().map(|address| address.network());
    // Taken before anything is read: what is parsed needs memory too.
    let room = core.expect_upload(caller, from).await?;
    let held = Arc::new(AtomicUsize::new(0));
    let mut pieces = Pieces { body: request.into_body().into_data_stream(), held: Arc::clone(&held) };
    let uploaded = read(Multipart::new(&mut pieces, boundary), &held, room, fields).await?;
    while let Some(piece) = pieces.next().await {
        piece.map_err(|error| of_piece(&error))?;
    }
    Ok(uploaded)
}

async fn read(
    mut body: Multipart<'_>,
    held: &AtomicUsize,
    room: Arriving,
    fields: &[&str],
) -> Result<Uploaded, Error> {
    let mut room = Some(room);
    let mut found = None;
    let mut others = 0;
    for _ in 0..=FIELDS_AT_MOST {
        let Some(mut field) = body.next_field().await.map_err(|error| of_body(&error))? else {
            return found.ok_or_else(|| Error::invalid("file", "is missing"));
        };
        if !field.name().is_some_and(|name| fields.contains(&name)) {
            while let Some(piece) = next(&mut field, held).await? {
                others += piece.len();
                if others > OTHER_BYTES {
                    return Err(Error::TooLarge);
                }
            }
        } else if let Some(mut file) = room.take() {
            let filename = field.file_name().map(str::to_owned);
            while let Some(piece) = next(&mut field, held).await? {
                file.write(&piece).await?;
            }
            found = Some(Uploaded { file, filename });
        } else {
            return Err(Error::invalid("file", "must be one file"));
        }
    }
    Err(Error::invalid("file", "must be sent with fewer other fields"))
}

/// The next piece of a field, which is held no longer.
async fn next(field: &mut Field<'_>, held: &AtomicUsize) -> Result<Option<Bytes>, Error> {
    let piece = field.chunk().await.map_err(|error| of_body(&error))?;
    if let Some(piece) = &piece {
        held.fetch_sub(piece.len(), Ordering::Relaxed);
    }
    Ok(piece)
}

/// A body as it is parsed, until more than [`HELD_BYTES`] of it have become part of no field.
struct Pieces {
    body: BodyDataStream,
    /// Bytes that were read and not handed on.
    held: Arc<AtomicUsize>,
}

#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("too much stands around the fields")]
    TooMuch,
    #[error(transparent)]
    BrokenOff(axum::Error),
}

impl Stream for Pieces {
    type Item = Result<Bytes, NotRead>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.body.poll_next_unpin(cx));
        Poll::Ready(piece.map(|piece| {
            let piece = piece.map_err(NotRead::BrokenOff)?;
            let held = self.held.fetch_add(piece.len(), Ordering::Relaxed) + piece.len();
            if held > HELD_BYTES { Err(NotRead::TooMuch) } else { Ok(piece) }
        }))
    }
}

fn boundary_of(request: &Request) -> Result<String, Error> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.and_then(|value| multer::parse_boundary(value).ok()).ok_or(Error::UnsupportedMediaType)
}

fn of_body(error: &multer::Error) -> Error {
    if let multer::Error::StreamReadFailed(source) = error
        && let Some(error) = source.downcast_ref()
    {
        return of_piece(error);
    }
    unreadable()
}

fn of_piece(error: &NotRead) -> Error {
    match error {
        NotRead::TooMuch => Error::TooLarge,
        NotRead::BrokenOff(_) => unreadable(),
    }
}

fn unreadable() -> Error {
    Error::Unreadable("the upload broke off, came too slowly, or is not well-formed".to_owned())
}
