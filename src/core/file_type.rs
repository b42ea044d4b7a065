//! What a file is, by its bytes: never by what its sender calls it.
//!
//! Let in are pictures, sound, films and PDFs, whole, of a sane number of pixels, and nothing that a browser could take for
//! a page or a program as well. Where files are kept is `uploads.rs`.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;

use infer::MatcherType;

use super::Error;

/// Bytes at the beginning that are looked at.
const HEAD_BYTES: u64 = 8 * 1024;
/// Bytes at the beginning where a page would have to begin for a browser to see it.
const PAGE_WITHIN: usize = 4 * 1024;
/// Bytes at the end that are looked at: a ZIP's directory ends there, with a comment of up to 64 KiB.
const TAIL_BYTES: u64 = 66 * 1024;
/// Pixels of a picture; a few bytes can claim to be far more, and take gigabytes to show.
const PIXELS_AT_MOST: usize = 100_000_000;
/// Boxes of a film file that are stepped over.
const BOXES_AT_MOST: usize = 10_000;

/// What makes a browser read a file as a page, whatever it begins with.
const PAGE_MARKS: [&[u8]; 8] =
    [b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?php"];

/// What can be read at any place: a file on disk, or bytes that came in a request.
pub(super) trait ReadAt {
    /// Fills `buffer` with what begins at `offset`; less than that is an error.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// The MIME type of the first `size` bytes of `file`, which came in `field`.
///
/// # Errors
/// [`Error::Invalid`] when it is empty, incomplete or of too many pixels, [`Error::UnsupportedMediaType`] when it is
/// something else, or something else as well.
pub(super) fn type_of(
    field: &'static str,
    file: &(impl ReadAt + ?Sized),
    size: u64,
) -> Result<&'static str, Error> {
    if size == 0 {
        return Err(Error::invalid(field, "is empty"));
    }
    let head = read(file, 0, size.min(HEAD_BYTES))?;
    let kind = infer::get(&head).ok_or(Error::UnsupportedMediaType)?;
    let taken = match kind.matcher_type() {
        MatcherType::Image => !matches!(kind.mime_type(), "image/svg+xml" | "image/vnd.adobe.photoshop"),
        MatcherType::Audio | MatcherType::Video => true,
        MatcherType::Archive => kind.mime_type() == "application/pdf",
        MatcherType::App
        | MatcherType::Book
        | MatcherType::Doc
        | MatcherType::Font
        | MatcherType::Text
        | MatcherType::Custom => false,
    };
    let tail = read(file, size.saturating_sub(TAIL_BYTES), size.min(TAIL_BYTES))?;
    if !taken || is_something_else_too(kind.mime_type(), &head, &tail) {
        return Err(Error::UnsupportedMediaType);
    }
    if !is_whole(kind.mime_type(), file, size, &head, &tail)? {
        return Err(Error::invalid(field, "is incomplete"));
    }
    if kind.matcher_type() == MatcherType::Image {
        let dimensions = imagesize::reader_size(BufReader::new(FromStart { file, size, at: 0 }));
        if dimensions.is_ok_and(|size| size.width.saturating_mul(size.height) > PIXELS_AT_MOST) {
            return Err(Error::invalid(field, "has more than 100 million pixels"));
        }
    }
    Ok(kind.mime_type())
}

/// Whether a browser or an unpacker could take the file for a page, another document or an archive.
fn is_something_else_too(mime: &str, head: &[u8], tail: &[u8]) -> bool {
    let start = head.get(..PAGE_WITHIN.min(head.len())).unwrap_or_default().to_ascii_lowercase();
    let is_page = PAGE_MARKS.iter().any(|mark| contains(&start, mark));
    let is_pdf = mime != "application/pdf" && contains(&start, b"%pdf-");
    is_page || is_pdf || ends_in_zip_directory(tail)
}

/// Whether the end is a ZIP's end record: its comment must reach exactly to the end of the file.
fn ends_in_zip_directory(tail: &[u8]) -> bool {
    tail.windows(22).enumerate().any(|(place, record)| {
        record.starts_with(b"PK\x05\x06")
            && record[20..]
                .try_into()
                .map(u16::from_le_bytes)
                .is_ok_and(|comment: u16| place + record.len() + usize::from(comment) == tail.len())
    })
}

/// Whether the end of the file is there, as far as its kind tells.
fn is_whole(
    mime: &str,
    file: &(impl ReadAt + ?Sized),
    size: u64,
    head: &[u8],
    tail: &[u8],
) -> Result<bool, Error> {
    Ok(match mime {
        "image/png" => contains(tail, b"IEND\xaeB\x60\x82"),
        "image/jpeg" => contains(tail, b"\xff\xd9"),
        "image/gif" => tail.iter().rev().find(|byte| **byte != 0) == Some(&b';'),
        "application/pdf" => contains(tail, b"%%EOF"),
        "image/webp" | "audio/x-wav" | "video/x-msvideo" => {
            let told = head.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
            // A recorder that could not go back to write the length leaves a placeholder.
            told.is_none_or(|told| matches!(told, 0 | u32::MAX) || u64::from(told) + 8 <= size)
        }
        "video/mp4" | "video/x-m4v" | "video/quicktime" | "audio/m4a" | "image/heif" | "image/avif" => {
            boxes_fit(file, size).map_err(|error| unreadable(&error))?
        }
        _ => true,
    })
}

/// Whether every top-level box of an ISO media file ends within it.
fn boxes_fit(file: &(impl ReadAt + ?Sized), size: u64) -> io::Result<bool> {
    let mut at = 0;
    for _ in 0..BOXES_AT_MOST {
        let mut header = [0; 16];
        let there = usize::try_from(size - at).unwrap_or(usize::MAX).min(header.len());
        if there < 8 {
            return Ok(there == 0);
        }
        file.fill(&mut header[..there], at)?;
        let [a, b, c, d, ..] = header;
        let length = match u32::from_be_bytes([a, b, c, d]) {
            0 => return Ok(true), // to the end
            1 if there == 16 => {
                let [.., h, g, f, e, d, c, b, a] = header;
                u64::from_be_bytes([h, g, f, e, d, c, b, a])
            }
            length => u64::from(length),
        };
        let Some(next) = at.checked_add(length).filter(|next| length >= 8 && *next <= size) else {
            return Ok(false);
        };
        at = next;
    }
    Ok(true)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn read(file: &(impl ReadAt + ?Sized), from: u64, length: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| Error::TooLarge)?];
    file.fill(&mut bytes, from).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "an upload on disk cannot be read");
    Error::Internal
}

/// Reads the first `size` bytes one after the other, without moving the place that others read at.
struct FromStart<'a, F: ?Sized> {
    file: &'a F,
    size: u64,
    at: u64,
}

impl<F: ReadAt + ?Sized> io::Read for FromStart<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let read = buffer.len().min(left);
        self.file.fill(&mut buffer[..read], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<F: ?Sized> io::Seek for FromStart<'_, F> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB\x60\x82";

    fn typed(bytes: &[u8]) -> Result<&'static str, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let size = bytes.len() as u64;
        let (on_disk, in_memory) = (type_of("file", &file, size), type_of("file", bytes, size));
        assert_eq!(format!("{on_disk:?}"), format!("{in_memory:?}"));
        on_disk
    }

    fn with(bytes: &[u8], more: &[u8]) -> Vec<u8> {
        [bytes, more].concat()
    }

    #[test]
    fn a_picture_is_what_its_bytes_say() {
        assert_eq!(typed(PNG).unwrap(), "image/png");
        assert_eq!(
            typed(b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;").unwrap(),
            "image/gif"
        );
        assert_eq!(typed(b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n").unwrap(), "application/pdf");
    }

    #[test]
    fn what_is_no_media_is_refused() {
        for bytes in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"<!DOCTYPE html><html></html>",
            b"hello",
            b"PK\x03\x04",
            b"MZ\x90\0",
        ] {
            assert!(matches!(typed(bytes), Err(Error::UnsupportedMediaType)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_two_things_at_once_is_refused() {
        let page = with(b"GIF89a", b"\x01\0\x01\0\0\0\0<SCRIPT>alert(1)</script>;");
        let archive = with(PNG, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0abc");
        let document = with(b"GIF89a%PDF-1.4", b"\n%%EOF\n;");
        for bytes in [page, archive, document] {
            assert!(matches!(typed(&bytes), Err(Error::UnsupportedMediaType)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for length in [20, PNG.len() - 1] {
            let problem = typed(&PNG[..length]).unwrap_err().to_string();
            assert_eq!(problem, "file is incomplete", "{length}");
        }
        assert_eq!(typed(b"").unwrap_err().to_string(), "file is empty");
        let film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\x01\0mdat";
        assert_eq!(typed(film).unwrap_err().to_string(), "file is incomplete");
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused() {
        let mut bomb = PNG.to_vec();
        bomb[16..24].copy_from_slice(b"\0\0\xff\xff\0\0\xff\xff");
        assert_eq!(typed(&bomb).unwrap_err().to_string(), "file has more than 100 million pixels");
    }
}
