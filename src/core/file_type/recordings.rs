//! Sound and films: what each kind must have beside its first bytes, and where it ends. A recorder that could not go back to
//! write a length leaves a placeholder, which is fine.

use std::io;

use super::{Look, ReadAt, Verdict};

/// Parts of a file that are stepped over.
pub(super) const STEPS_AT_MOST: usize = 100_000;
/// Zeros between the tags of an MP3 and its sound.
const PADDING_AT_MOST: u64 = 16 * 1024;

pub(super) fn judge(mime: &str, look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    match mime {
        "video/mp4" | "video/x-m4v" | "video/quicktime" | "audio/m4a" => boxes(look),
        "video/webm" | "video/x-matroska" => matroska(look),
        "audio/ogg" | "audio/opus" => ogg(look),
        "audio/x-wav" | "video/x-msvideo" => riff(look),
        "audio/x-aiff" => aiff(look),
        "audio/x-flac" => flac(look),
        "audio/mpeg" => mp3(look),
        "audio/aac" => two_frames(look, 0, aac_frame),
        "video/x-ms-wmv" => asf(look),
        "video/x-flv" => flv(look),
        // AMR: frames without an order.
        _ => Ok(Verdict::Whole),
    }
}

/// ISO media: every box ends within the file.
pub(super) fn boxes(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut at = 0;
    for _ in 0..STEPS_AT_MOST {
        if at == look.size {
            return Ok(Verdict::Whole);
        }
        let Some([a, b, c, d, _, _, _, _]) = look.at(at)? else { return Ok(Verdict::CutOff) };
        let length = match u32::from_be_bytes([a, b, c, d]) {
            0 => return Ok(Verdict::Whole), // to the end
            1 => match look.at(at + 8)? {
                Some(length) => u64::from_be_bytes(length),
                None => return Ok(Verdict::CutOff),
            },
            length => u64::from(length),
        };
        let Some(next) = at.checked_add(length).filter(|next| length >= 8 && *next <= look.size) else {
            return Ok(Verdict::CutOff);
        };
        at = next;
    }
    Ok(Verdict::Whole)
}

/// RIFF: WAV, AVI, WebP.
pub(super) fn riff(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let Some([b'R', b'I', b'F', b'F', length @ ..]) = look.at::<8>(0)? else { return Ok(Verdict::NotOne) };
    let told = u32::from_le_bytes(length);
    let is_placeholder = matches!(told, 0 | u32::MAX);
    Ok(if is_placeholder { Verdict::Whole } else { Verdict::of_end(u64::from(told) + 8, look.size) })
}

fn aiff(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let told = look.at(4)?.map_or(u32::MAX, u32::from_be_bytes);
    Ok(Verdict::of_end(u64::from(told) + 8, look.size))
}

/// Matroska and WebM: a header that says which, and a segment, whose length browsers leave open.
fn matroska(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let Some(header) = element_length(look, 4)? else { return Ok(Verdict::CutOff) };
    let Some(segment) = header else { return Ok(Verdict::NotOne) };
    match look.at(segment)? {
        Some([0x18, 0x53, 0x80, 0x67]) => {}
        Some(_) => return Ok(Verdict::NotOne),
        None => return Ok(Verdict::CutOff),
    }
    Ok(match element_length(look, segment + 4)? {
        Some(Some(end)) => Verdict::of_end(end, look.size),
        Some(None) => Verdict::Whole,
        None => Verdict::CutOff,
    })
}

/// Where the element ends whose length stands `at`: `None` where the file ends before the length does, `Some(None)` where it
/// is open.
fn element_length(look: &Look<'_, impl ReadAt + ?Sized>, at: u64) -> io::Result<Option<Option<u64>>> {
    let Some([first]) = look.at(at)? else { return Ok(None) };
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(Some(None));
    }
    let (mut length, mut open) = (u64::from(first) & (0x7f >> more), first | (0xff << (7 - more)) == 0xff);
    for place in 1..=u64::from(more) {
        let Some([next]) = look.at(at + place)? else { return Ok(None) };
        length = length << 8 | u64::from(next);
        open &= next == 0xff;
    }
    let end = at + 1 + u64::from(more) + length;
    Ok(Some((!open).then_some(end)))
}

/// Ogg: pages, one after the other; what else comes after them does not matter.
fn ogg(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut at = 0;
    for _ in 0..STEPS_AT_MOST {
        if at == look.size {
            return Ok(Verdict::Whole);
        }
        let Some(header) = look.at::<27>(at)? else { return Ok(Verdict::CutOff) };
        if !header.starts_with(b"OggS\0") {
            return Ok(if at == 0 { Verdict::NotOne } else { Verdict::Whole });
        }
        let mut lengths = [0; 255];
        let lengths = &mut lengths[..usize::from(header[26])];
        at += 27 + lengths.len() as u64;
        if at > look.size {
            return Ok(Verdict::CutOff);
        }
        look.file.fill(lengths, at - lengths.len() as u64)?;
        at += lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
        if at > look.size {
            return Ok(Verdict::CutOff);
        }
    }
    Ok(Verdict::Whole)
}

/// FLAC: blocks that say what follows, and sound after the last of them.
fn flac(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut at = 4;
    for _ in 0..STEPS_AT_MOST {
        let Some([kind, a, b, c]) = look.at(at)? else { return Ok(Verdict::CutOff) };
        let length = u32::from_be_bytes([0, a, b, c]);
        if at == 4 && (kind & 0x7f, length) != (0, 34) {
            return Ok(Verdict::NotOne);
        }
        at += 4 + u64::from(length);
        if kind & 0x80 != 0 {
            return Ok(Verdict::of_end(at + 1, look.size));
        }
    }
    Ok(Verdict::NotOne)
}

/// MP3: tags perhaps, and sound.
fn mp3(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let mut at = 0;
    if look.head.starts_with(b"ID3") {
        let Some([version, _, flags, length @ ..]) = look.at::<7>(3)? else { return Ok(Verdict::NotOne) };
        if !(2..=4).contains(&version) || length.iter().any(|byte| *byte >= 0x80) {
            return Ok(Verdict::NotOne);
        }
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        at = 10 + footer + length.iter().fold(0, |length, byte| length << 7 | u64::from(*byte));
        let sound = at;
        while let Some([0]) = look.at(at)? {
            at += 1;
            if at - sound > PADDING_AT_MOST {
                return Ok(Verdict::NotOne);
            }
        }
    }
    two_frames(look, at, mp3_frame)
}

/// Sound whose frames begin with a few bits that come about by chance; that a second one is where the first ends does not.
fn two_frames(
    look: &Look<'_, impl ReadAt + ?Sized>,
    at: u64,
    length: fn([u8; 7]) -> Option<u64>,
) -> io::Result<Verdict> {
    let Some(first) = look.at(at)? else { return Ok(Verdict::CutOff) };
    let Some(first) = length(first) else { return Ok(Verdict::NotOne) };
    let second = at + first;
    if second >= look.size {
        return Ok(Verdict::of_end(second, look.size));
    }
    Ok(match look.at(second)? {
        Some(header) if length(header).is_some() => Verdict::Whole,
        Some(_) => Verdict::NotOne,
        None => Verdict::CutOff,
    })
}

/// The length of an MP3's frame with this header.
fn mp3_frame([sync, kind, rates, ..]: [u8; 7]) -> Option<u64> {
    const RATES: [[u64; 14]; 2] = [
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    // All but "layer III" is no MP3.
    if sync != 0xff || kind & 0xe6 != 0xe2 {
        return None;
    }
    let (samples, rates_of_version, slower) = match kind >> 3 & 3 {
        0 => (72, RATES[1], 4),
        2 => (72, RATES[1], 2),
        3 => (144, RATES[0], 1),
        _ => return None,
    };
    let bits = rates_of_version.get(usize::from(rates >> 4).checked_sub(1)?)? * 1000;
    let frequency = [44_100, 48_000, 32_000].get(usize::from(rates >> 2 & 3))? / slower;
    Some(samples * bits / frequency + u64::from(rates >> 1 & 1))
}

/// The length of an AAC frame (ADTS) with this header.
fn aac_frame([sync, kind, rate, a, b, c, _]: [u8; 7]) -> Option<u64> {
    let length = u64::from(a & 3) << 11 | u64::from(b) << 3 | u64::from(c) >> 5;
    let is_one = sync == 0xff && kind & 0xf6 == 0xf0 && rate >> 2 & 15 < 13 && length > 7;
    is_one.then_some(length)
}

/// Windows Media: its header tells its own length.
fn asf(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    let told = look.at(16)?.map_or(u64::MAX, u64::from_le_bytes);
    Ok(Verdict::of_end(told, look.size))
}

/// FLV: nine bytes, a length of nothing, and a first tag that ends within the file.
fn flv(look: &Look<'_, impl ReadAt + ?Sized>) -> io::Result<Verdict> {
    match look.at(5)? {
        Some([0, 0, 0, 9, 0, 0, 0, 0]) => {}
        Some(_) => return Ok(Verdict::NotOne),
        None => return Ok(Verdict::CutOff),
    }
    Ok(match look.at(13)? {
        Some([8 | 9 | 18, a, b, c]) => {
            Verdict::of_end(13 + 11 + u64::from(u32::from_be_bytes([0, a, b, c])), look.size)
        }
        Some(_) => Verdict::NotOne,
        None => Verdict::CutOff,
    })
}
