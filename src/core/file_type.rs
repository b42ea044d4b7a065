//! What a file is, by its bytes: never by what its sender calls it.
//!
//! Let in are pictures, sound, films and PDFs of the kinds in [`TAKEN`], whole, of a sane number of pixels, and nothing that a
//! browser could take for a page or a program as well. What each kind must have beside its first bytes is `pictures.rs` and
//! `recordings.rs`. Where files are kept is `uploads.rs`.

mod pictures;
mod recordings;

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;

use super::Error;

/// What is let in. Pictures are those whose dimensions can be read.
const TAKEN: [&str; 26] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/heif",
    "image/avif",
    "audio/mpeg",
    "audio/m4a",
    "audio/opus",
    "audio/ogg",
    "audio/x-flac",
    "audio/x-wav",
    "audio/amr",
    "audio/aac",
    "audio/x-aiff",
    "video/mp4",
    "video/x-m4v",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/x-msvideo",
    "video/x-ms-wmv",
    "video/x-flv",
    "application/pdf",
];

/// Bytes at the beginning that are looked at, and where a page would have to begin.
const HEAD_BYTES: u64 = 64 * 1024;
/// Bytes at the end that are looked at: a ZIP's directory ends there, with a comment of up to 64 KiB.
const TAIL_BYTES: u64 = 66 * 1024;
/// Pixels of a picture; a few bytes can claim to be far more, and take gigabytes to show.
const PIXELS_AT_MOST: usize = 100_000_000;

/// What makes a browser read a file as a page, whatever it begins with.
const PAGE_MARKS: [&[u8]; 18] = [
    b"<!doctype",
    b"<html",
    b"<head",
    b"<body",
    b"<script",
    b"<iframe",
    b"<svg",
    b"<?php",
    b"<img",
    b"<object",
    b"<embed",
    b"<video",
    b"<audio",
    b"<style",
    b"<link",
    b"<meta",
    b"<base",
    b"<form",
];

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

/// A file that is looked at.
struct Look<'a, F: ?Sized> {
    file: &'a F,
    size: u64,
    head: &'a [u8],
    tail: &'a [u8],
}

impl<F: ReadAt + ?Sized> Look<'_, F> {
    /// What is at `offset`; `None` when the file ends before.
    fn at<const N: usize>(&self, offset: u64) -> io::Result<Option<[u8; N]>> {
        if offset.checked_add(N as u64).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.file.fill(&mut bytes, offset)?;
        Ok(Some(bytes))
    }

    /// The file from its beginning on.
    fn reader(&self) -> BufReader<FromStart<'_, F>> {
        BufReader::new(FromStart { file: self.file, size: self.size, at: 0 })
    }
}

/// What there is to say of a file that begins like one of a kind.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is one, and its end is there as far as its kind tells.
    Whole,
    /// It is one without its end.
    CutOff,
    /// It is one of more pixels than anybody shows.
    TooManyPixels,
    /// It only begins like one.
    NotOne,
}

impl Verdict {
    /// Whether a part that ends at `end` is there.
    fn of_end(end: u64, size: u64) -> Self {
        if end <= size { Self::Whole } else { Self::CutOff }
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
    let tail = read(file, size.saturating_sub(TAIL_BYTES), size.min(TAIL_BYTES))?;
    let mime = infer::get(&head).map(|kind| kind.mime_type()).filter(|mime| TAKEN.contains(mime));
    let mime = mime.ok_or(Error::UnsupportedMediaType)?;
    if is_something_else_too(mime, &head, &tail) {
        return Err(Error::UnsupportedMediaType);
    }
    let look = Look { file, size, head: &head, tail: &tail };
    match judge(mime, &look).map_err(|error| unreadable(&error))? {
        Verdict::Whole => Ok(mime),
        Verdict::CutOff => Err(Error::invalid(field, "is incomplete")),
        Verdict::TooManyPixels => Err(Error::invalid(field, "has more than 100 million pixels")),
        Verdict::NotOne => Err(Error::UnsupportedMediaType),
    }
}

fn judge(mime: &str, look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    match mime {
        "application/pdf" => Ok(if contains(look.tail, b"%%EOF") { Verdict::Whole } else { Verdict::CutOff }),
        _ if mime.starts_with("image/") => pictures::judge(mime, look),
        _ => recordings::judge(mime, look),
    }
}

/// Whether a browser or an unpacker could take the file for a page, another document or an archive.
fn is_something_else_too(mime: &str, head: &[u8], tail: &[u8]) -> bool {
    let start = head.to_ascii_lowercase();
    let is_page = PAGE_MARKS.iter().any(|mark| has_tag(&start, mark));
    let is_pdf = mime != "application/pdf" && contains(&start, b"%pdf-");
    is_page || is_pdf || has_zip_directory(tail)
}

/// Whether a tag that begins so stands anywhere, and not only a longer word.
fn has_tag(text: &[u8], mark: &[u8]) -> bool {
    memchr::memmem::find_iter(text, mark).any(|place| {
        let after = text.get(place + mark.len());
        after.is_some_and(|after| after.is_ascii_whitespace() || matches!(after, b'>' | b'/'))
    })
}

/// Whether there is a ZIP's end record: unpackers look for it from the end on, whatever comes after. Its four first bytes
/// come about by chance too; with what is before and after them they do not.
fn has_zip_directory(tail: &[u8]) -> bool {
    memchr::memmem::find_iter(tail, b"PK\x05\x06").any(|place| {
        tail[place..].starts_with(b"PK\x05\x06\0\0\0\0") || contains(&tail[..place], b"PK\x01\x02")
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
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

    /// A frame of an MP3: 128 kbit/s, 44.1 kHz.
    fn mp3_frame() -> Vec<u8> {
        with(b"\xff\xfb\x90\x00", &[0; 413])
    }

    fn gif(width: u16, frame: [u16; 4]) -> Vec<u8> {
        let mut gif = b"GIF89a".to_vec();
        gif.extend(width.to_le_bytes().repeat(2));
        gif.extend(b"\0\0\0,");
        gif.extend(frame.iter().flat_map(|side| side.to_le_bytes()));
        with(&gif, b"\0\x02\x02D\x01\0;")
    }

    /// One pixel, without a smaller picture in its head.
    const JPEG_HEAD: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    const JPEG_REST: &[u8] =
        b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\x54\xff\0\xff\xd9";

    /// The beginning of what Chromium's recorder gives: nothing says how long it is.
    const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\x04\x42\x85\x81\x02\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff\x15\x49\xa9\x66";

    fn ogg(pages: usize) -> Vec<u8> {
        let page = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0";
        page.repeat(pages)
    }

    const FLAC: &[u8] =
        b"fLaC\x80\0\0\x22\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xf8";
    const BMP: &[u8] = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\0";
    const AAC: &[u8] = b"\xff\xf1\x50\x80\x01\x1f\xfc\0";
    const FLV: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x12\0\0\x02\0\0\0\0\0\0\0\x02\0";

    #[test]
    fn every_kind_is_known_whole_and_not_without_its_end() {
        let tagged = with(&with(b"ID3\x04\0\0\0\0\0\x02ab", &[0; 100]), &mp3_frame().repeat(2));
        let kinds: [(&str, Vec<u8>, usize); 11] = [
            ("image/jpeg", with(JPEG_HEAD, JPEG_REST), 1),
            ("image/gif", gif(1, [0, 0, 1, 1]), 1),
            ("image/bmp", BMP.to_vec(), 1),
            ("audio/mpeg", mp3_frame().repeat(2), 415),
            ("audio/mpeg", tagged, 415),
            ("audio/aac", AAC.repeat(2), 7),
            ("audio/opus", ogg(2), 1),
            ("audio/x-flac", FLAC.to_vec(), 2),
            ("video/webm", WEBM.to_vec(), 14),
            ("video/x-flv", FLV.to_vec(), 1),
            ("audio/x-aiff", b"FORM\0\0\0\x06AIFF\0\0".to_vec(), 1),
        ];
        for (mime, whole, end) in kinds {
            assert_eq!(typed(&whole).unwrap(), mime, "{whole:x?}");
            let cut = &whole[..whole.len() - end];
            assert_eq!(typed(cut).unwrap_err().to_string(), "file is incomplete", "{mime}");
        }
    }

    #[test]
    fn a_smaller_picture_in_its_head_is_not_the_end_of_a_picture() {
        let thumbnail = with(b"\xff\xe1\0\x0eExif\0\0", b"\xff\xd8\xff\xd9\0\0");
        let whole = [JPEG_HEAD, &thumbnail, JPEG_REST].concat();
        assert_eq!(typed(&whole).unwrap(), "image/jpeg");
        for length in [JPEG_HEAD.len() + 10, whole.len() - JPEG_REST.len(), whole.len() - 2] {
            let problem = typed(&whole[..length]).unwrap_err().to_string();
            assert_eq!(problem, "file is incomplete", "{length}");
        }
        // Cameras put a film behind it.
        assert_eq!(typed(&with(&whole, &[1; 200_000])).unwrap(), "image/jpeg");
    }

    #[test]
    fn words_that_begin_like_a_file_are_none() {
        for text in [
            "BMW is a car.",
            "BMW is a car, and this is a longer text about it.",
            "ID3 is what it is called.",
            "FLV\u{1} begins a text too.",
            "GIF is how it is pronounced, not JIF",
            "xxxxxxxxWEBP and what comes then",
            "OggS, and a text that is longer than a page's header is",
            "fLaC, and what comes after it in a text",
            "\u{1}\u{2}\u{3}\u{4}moov",
        ] {
            assert!(typed(text.as_bytes()).is_err(), "{text}");
        }
        for bytes in [
            &b"\xff\xfb\xf0 is no sound"[..],
            &with(&mp3_frame(), b"and then no sound"),
            b"\xff\xf1\x50\x80\x01\x1f\xfc\0no sound",
        ] {
            assert!(matches!(typed(bytes), Err(Error::UnsupportedMediaType)), "{bytes:?}");
        }
    }

    #[test]
    fn what_nobody_shows_is_not_taken() {
        let mut open_raster = b"PK\x03\x04".to_vec();
        open_raster.resize(30, 0);
        open_raster.extend(b"mimetypeimage/openraster    ");
        for bytes in [&open_raster[..], b"MThd\0\0\0\x06", b"\0\0\x01\0\x01\0", b"AT&TFORM\0\0\0\0DJVU"] {
            assert!(matches!(typed(bytes), Err(Error::UnsupportedMediaType)), "{bytes:?}");
        }
        let without_size = b"II\x2a\0\xff\xff\xff\x7f\0\0\0\0";
        assert!(matches!(typed(without_size), Err(Error::UnsupportedMediaType)));
    }

    #[test]
    fn an_archive_is_found_wherever_it_ends() {
        let end = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        for more in [&b""[..], b"x", &[0; 60_000]] {
            let archive = [PNG, end, more, &PNG[PNG.len() - 12..]].concat();
            assert!(matches!(typed(&archive), Err(Error::UnsupportedMediaType)), "{}", more.len());
        }
        let odd = [PNG, b"PK\x01\x02", b"PK\x05\x06\x01\0\x01\0", &PNG[PNG.len() - 12..]].concat();
        assert!(matches!(typed(&odd), Err(Error::UnsupportedMediaType)));
        let chance = [PNG, b"PK\x05\x06\x81\x92", &PNG[PNG.len() - 12..]].concat();
        assert_eq!(typed(&chance).unwrap(), "image/png");
    }

    #[test]
    fn a_page_is_found_deep_in_a_file_and_in_any_tag() {
        let comment = |text: &[u8]| [&PNG[..33], &vec![b' '; 20_000], text, &PNG[33..]].concat();
        for page in [&b"<img src=x onerror=alert(1)>"[..], b"<SVG/onload=alert(1)>", b"<body\nonload=x>"] {
            assert!(matches!(typed(&comment(page)), Err(Error::UnsupportedMediaType)), "{page:?}");
        }
        for harmless in [&b"<imgs>"[..], b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", b"a < b"] {
            assert_eq!(typed(&comment(harmless)).unwrap(), "image/png", "{harmless:?}");
        }
    }

    #[test]
    fn a_frame_larger_than_its_picture_is_counted() {
        assert_eq!(typed(&gif(1, [0, 0, 9_000, 9_000])).unwrap(), "image/gif");
        for frame in [[0, 0, 20_000, 20_000], [50_000, 50_000, 1, 1]] {
            let problem = typed(&gif(1, frame)).unwrap_err().to_string();
            assert_eq!(problem, "file has more than 100 million pixels", "{frame:?}");
        }
    }
}
