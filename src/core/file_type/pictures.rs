//! Pictures: what each kind must have beside its first bytes, where it ends, and how many pixels it claims to have.

use std::io::{self, BufRead, ErrorKind, Read};

use super::recordings::{STEPS_AT_MOST, boxes, riff};
use super::{Look, PIXELS_AT_MOST, ReadAt, Verdict, contains};

pub(super) fn judge(mime: &str, look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let verdict = match mime {
        "image/png" if contains(look.tail, b"IEND\xaeB\x60\x82") => Verdict::Whole,
        "image/png" => Verdict::CutOff,
        "image/jpeg" => jpeg(look)?,
        "image/gif" => or_cut_off(gif(look))?,
        "image/webp" => riff(look)?,
        "image/bmp" => bmp(look)?,
        "image/heif" | "image/avif" => boxes(look)?,
        // A TIFF's directory may stand anywhere; its dimensions are in it.
        _ => Verdict::Whole,
    };
    if verdict != Verdict::Whole {
        return Ok(verdict);
    }
    Ok(match imagesize::reader_size(look.reader()) {
        Ok(size) if size.width.saturating_mul(size.height) > PIXELS_AT_MOST => Verdict::TooManyPixels,
        Ok(_) => Verdict::Whole,
        Err(_) => Verdict::NotOne,
    })
}

/// A JPEG ends with a marker that its data cannot contain; but a smaller picture in its head has one too.
fn jpeg(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut at = 2;
    for _ in 0..STEPS_AT_MOST {
        let Some([mark, kind]) = look.at(at)? else { return Ok(Verdict::CutOff) };
        match (mark, kind) {
            // Padding.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, 0x00 | 0xd8 | 0xd9) | (0..0xff, _) => return Ok(Verdict::NotOne),
            (0xff, _) => {
                let Some(length) = look.at(at + 2)? else { return Ok(Verdict::CutOff) };
                at += 2 + u64::from(u16::from_be_bytes(length));
                if kind == 0xda {
                    return ends_after(look, at);
                }
            }
        }
    }
    Ok(Verdict::NotOne)
}

fn ends_after(look: &Look<'_, impl ReadAt + ?Sized>, at: u64) -> io::Result<Verdict> {
    let mut data = look.reader();
    io::copy(&mut data.by_ref().take(at), &mut io::sink())?;
    loop {
        if data.skip_until(0xff)? == 0 {
            return Ok(Verdict::CutOff);
        }
        match data.fill_buf()?.first() {
            Some(0xd9) => return Ok(Verdict::Whole),
            Some(_) => {}
            None => return Ok(Verdict::CutOff),
        }
    }
}

/// Each frame of a GIF has a size of its own, which may be larger than the first one it tells.
fn gif(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut data = look.reader();
    let [.., flags, _, _] = next::<13>(&mut data)?;
    skip_colors(&mut data, flags)?;
    loop {
        match next::<1>(&mut data)? {
            [b';'] => return Ok(Verdict::Whole),
            [0] => {}
            [b'!'] => {
                next::<1>(&mut data)?;
                skip_blocks(&mut data)?;
            }
            [b','] => {
                let [a, b, c, d, e, f, g, h, flags] = next::<9>(&mut data)?;
                let [left, top, width, height] =
                    [[a, b], [c, d], [e, f], [g, h]].map(|side| usize::from(u16::from_le_bytes(side)));
                if (left + width) * (top + height) > PIXELS_AT_MOST {
                    return Ok(Verdict::TooManyPixels);
                }
                skip_colors(&mut data, flags)?;
                next::<1>(&mut data)?;
                skip_blocks(&mut data)?;
            }
            [_] => return Ok(Verdict::NotOne),
        }
    }
}

fn skip_colors(data: &mut impl Read, flags: u8) -> io::Result<()> {
    let colors = if flags & 0x80 == 0 { 0 } else { 2_u64 << (flags & 7) };
    skip(data, colors * 3)
}

fn skip_blocks(data: &mut impl Read) -> io::Result<()> {
    loop {
        match next(data)? {
            [0] => return Ok(()),
            [length] => skip(data, length.into())?,
        }
    }
}

fn skip(data: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut data.take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn next<const N: usize>(data: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    data.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn or_cut_off(verdict: io::Result<Verdict>) -> io::Result<Verdict> {
    match verdict {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Verdict::CutOff),
        verdict => verdict,
    }
}

/// A BMP begins with two letters, as many a text does.
fn bmp(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let Some(header) = look.at::<18>(0)? else { return Ok(Verdict::NotOne) };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (told, reserved, pixels, kind) = (number(2), number(6), number(10), number(14));
    if reserved != 0 || !matches!(kind, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124) {
        return Ok(Verdict::NotOne);
    }
    Ok(Verdict::of_end(u64::from(told.max(pixels)), look.size))
}
