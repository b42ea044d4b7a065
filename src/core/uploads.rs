//! Uploads: a file that somebody sends is kept on disk, without a name, until all of it is there and known to be what is let
//! in; only then Twilio's media service gets it. So one that is broken off, too large or something else leaves nothing
//! behind, here or there, and none needs more memory than a piece of it.
//!
//! What is let in is `file_type.rs`; links to what is stored are `media.rs`; bodies and their fields are the dialects'; files
//! that are fetched instead of sent are `ingest.rs`, and have their own room.

use std::fs::File;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::file_type::type_of;
use super::{Core, Error, MediaSid};
use crate::auth::{Caller, Identity, Role};
use crate::limits::{Network, Seat, Uploader};
use crate::store::StoredMedia;
use crate::twilio::FileOnDisk;

/// Bytes of one upload.
pub const UPLOAD_BYTES: u64 = 16 * 1024 * 1024;
/// Uploads on disk at once; more are asked to come back.
const UPLOADS_AT_ONCE: usize = 256;
/// Files that messages link to and that are fetched at once; the links of more stay links.
const FETCHED_ON_DISK: usize = 32;
/// Characters of a file's name.
const FILENAME_CHARACTERS: usize = 128;

/// A file that was stored.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its SID at Twilio.
    pub sid: MediaSid,
    /// What it is, by its bytes.
    pub content_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Our own lasting link to it.
    pub url: String,
}

/// How many files may be on disk.
pub(super) struct Uploads {
    sent: Arc<Semaphore>,
    fetched: Arc<Semaphore>,
}

impl Uploads {
    pub(super) fn new() -> Self {
        let room = |files| Arc::new(Semaphore::new(files));
        Self { sent: room(UPLOADS_AT_ONCE), fetched: room(FETCHED_ON_DISK) }
    }
}

/// A file that is arriving. Dropped, it is gone.
#[derive(Debug)]
pub struct Arriving {
    file: tokio::fs::File,
    size: u64,
    room: Room,
}

/// The place of a file on disk, free again once it is dropped.
#[derive(Debug)]
struct Room {
    _of_all: OwnedSemaphorePermit,
    _of_uploader: Option<Seat<Uploader>>,
}

impl Arriving {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`UPLOAD_BYTES`], [`Error::Internal`] when it cannot be written.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.size += piece.len() as u64;
        if self.size > UPLOAD_BYTES {
            return Err(Error::TooLarge);
        }
        self.file.write_all(piece).await.map_err(|error| not_on_disk(&error))
    }
}

fn not_on_disk(error: &std::io::Error) -> Error {
    tracing::error!(%error, folder = %std::env::temp_dir().display(), "an upload cannot be written to disk (TMPDIR)");
    Error::Internal
}

impl Core {
    /// Makes room for a file that `caller` sends `from` somewhere.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when too many of theirs are arriving, [`Error::Unavailable`] when too many of everybody's
    /// are, [`Error::Internal`] when there is no place on disk.
    pub async fn expect_upload(&self, caller: &Caller, from: Option<Network>) -> Result<Arriving, Error> {
        let of_uploader = match uploader(caller, from) {
            Some(uploader) => {
                let seat = self.limits.uploads.take(uploader);
                Some(seat.ok_or(Error::TooManyRequests { retry_after: None })?)
            }
            None => None,
        };
        arriving(&self.uploads.sent, of_uploader).await
    }

    /// Makes room for a file that is fetched.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many are, [`Error::Internal`] when there is no place on disk.
    pub(super) async fn expect_fetched(&self) -> Result<Arriving, Error> {
        arriving(&self.uploads.fetched, None).await
    }

    /// Stores a file that has arrived. One Twilio call; none when it is not let in. What whoever sent it does not wait for is
    /// deleted again, since nobody would know where it is.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnsupportedMediaType`], [`Error::Unavailable`].
    pub async fn store_upload(
        &self,
        caller: &Caller,
        mut arrived: Arriving,
        filename: Option<&str>,
    ) -> Result<Upload, Error> {
        arrived.file.flush().await.map_err(|error| not_on_disk(&error))?;
        let Arriving { file, size, room } = arrived;
        let file = file.into_std().await;
        let (file, content_type) = inspect(file, size).await?;
        let filename = filename.and_then(plain_filename);
        let (core, owner) = (self.clone(), caller.identity().cloned());
        let (tell, told) = oneshot::channel();
        // What Twilio has begun to take it may have in the end, whoever hangs up.
        tokio::spawn(crate::telemetry::in_same_count(async move {
            let file = FileOnDisk::new(file, size);
            let stored = core.twilio.upload_file(file, content_type, filename.as_deref()).await;
            drop(room);
            if let Ok(stored) = &stored {
                core.remember_media(stored.sid, owner.as_ref(), None).await;
            }
            if let Err(Ok(unwanted)) = tell.send(stored)
                && let Err(error) = core.twilio.remove_media(unwanted.sid).await
            {
                tracing::warn!(%error, "a file that nobody waited for stays at Twilio");
            }
        }));
        let stored = told.await.map_err(|_| Error::Internal)??;
        Ok(Upload {
            sid: stored.sid,
            content_type: content_type.to_owned(),
            size,
            url: self.media_links.of(stored.sid),
        })
    }

    /// Remembers whose a file is and where it was shown, which decides who may fetch it. Losing that costs a fetch by token;
    /// signed links stay good.
    pub(super) async fn remember_media(
        &self,
        media: MediaSid,
        owner: Option<&Identity>,
        conversation: Option<super::ConversationSid>,
    ) {
        let row = StoredMedia {
            media_sid: media.to_string(),
            owner: owner.map(|owner| owner.as_str().to_owned()),
            conversation_sid: conversation.map(|conversation| conversation.to_string()),
        };
        if let Err(error) = self.store.remember_media(&row, self.clock.now().timestamp()).await {
            tracing::warn!(%error, "whose a file is was not remembered");
        }
    }
}

/// Whose files those of `caller` are counted with; the app's back end sends everybody's.
fn uploader(caller: &Caller, from: Option<Network>) -> Option<Uploader> {
    match caller {
        Caller::Known { identity, role: Role::User | Role::Admin } => {
            Some(Uploader::Person(identity.clone()))
        }
        // Anybody can make up the id of a guest.
        Caller::Guest(_) | Caller::Anonymous => from.map(Uploader::Address),
        Caller::Known { role: Role::Service, .. } | Caller::Service => None,
    }
}

async fn arriving(room: &Arc<Semaphore>, of_uploader: Option<Seat<Uploader>>) -> Result<Arriving, Error> {
    let of_all = Arc::clone(room).try_acquire_owned();
    let of_all = of_all.map_err(|_| Error::Unavailable { retry_after: None })?;
    let made = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(|_| Error::Internal)?;
    let file = tokio::fs::File::from_std(made.map_err(|error| not_on_disk(&error))?);
    Ok(Arriving { file, size: 0, room: Room { _of_all: of_all, _of_uploader: of_uploader } })
}

async fn inspect(file: File, size: u64) -> Result<(File, &'static str), Error> {
    let inspecting = move || type_of("file", &file, size).map(|kind| (file, kind));
    tokio::task::spawn_blocking(inspecting).await.map_err(|_| Error::Internal)?
}

/// The name alone, without a path, control characters or such that turn the reading direction; `None` when nothing is left.
fn plain_filename(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_harmless = |character: &char| {
        !character.is_control()
            && !matches!(character, '"' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let plain: String = last.chars().filter(is_harmless).take(FILENAME_CHARACTERS).collect();
    let plain = plain.trim().trim_start_matches('.');
    (!plain.is_empty()).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::plain_filename;

    #[test]
    fn of_a_filename_only_the_name_stays() {
        for (name, plain) in [
            ("cat.png", Some("cat.png")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\me\\cat.png", Some("cat.png")),
            ("cat.png\r\nContent-Type: text/html", Some("cat.pngContent-Type: text")),
            ("\u{202e}gnp.exe", Some("gnp.exe")),
            ("..", None),
            ("", None),
            ("caf\u{e9} \u{1f600}.png", Some("caf\u{e9} \u{1f600}.png")),
        ] {
            let found = plain_filename(name);
            if name.contains('\r') {
                assert!(!found.unwrap().contains(['\r', '\n']));
            } else {
                assert_eq!(found.as_deref(), plain, "{name:?}");
            }
        }
        assert_eq!(plain_filename(&"x".repeat(1000)).unwrap().len(), 128);
    }
}
