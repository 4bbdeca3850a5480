//! The zip container of `torch.save`: where each entry's bytes lie in the file.
//!
//! `torch.save` stores entries uncompressed, so that they can be mapped. Only the central
//! directory and the headers of entries that are asked for are read; nothing is unpacked. Layout:
//! PKWARE's APPNOTE 6.3, with the zip64 records that archives of 4 GiB and more need.

use std::collections::HashMap;
use std::ops::Range;

const END_OF_DIRECTORY: &[u8; 4] = b"PK\x05\x06";
const ZIP64_LOCATOR: &[u8; 4] = b"PK\x06\x07";
const ZIP64_END_OF_DIRECTORY: &[u8; 4] = b"PK\x06\x06";
const DIRECTORY_ENTRY: &[u8; 4] = b"PK\x01\x02";
const LOCAL_HEADER: &[u8; 4] = b"PK\x03\x04";

/// The entries of a zip file, by name.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<&'a str, Entry>,
}

/// What the central directory says of one entry.
struct Entry {
    method: u16,
    encrypted: bool,
    size: u64,
    local_header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the central directory.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let end = find_end_of_directory(bytes)
            .ok_or("not a zip file, or cut off (torch.save's legacy format is not supported)")?;
        let (count, mut at) = directory(bytes, end)?;
        let mut entries = HashMap::new();
        for index in 0..count {
            let (name, entry, next) = directory_entry(bytes, at)
                .ok_or_else(|| format!("entry {index} of the zip directory is malformed"))?;
            if entries.insert(name, entry).is_some() {
                return Err(format!("the zip directory lists `{name}` twice"));
            }
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// Bytes of the file that hold the entry `name`.
    pub(super) fn range(&self, name: &str) -> Result<Range<usize>, String> {
        let entry = self.entries.get(name).ok_or_else(|| format!("no entry `{name}`"))?;
        if entry.encrypted {
            return Err(format!("entry `{name}` is encrypted"));
        }
        if entry.method != 0 {
            return Err(format!(
                "entry `{name}` is compressed (method {}); torch.save stores entries as they are",
                entry.method
            ));
        }
        self.stored_range(entry).ok_or_else(|| format!("entry `{name}` lies outside the file"))
    }

    /// The bytes of the entry `name`.
    pub(super) fn content(&self, name: &str) -> Result<&'a [u8], String> {
        let range = self.range(name)?;
        self.bytes.get(range).ok_or_else(|| format!("entry `{name}` lies outside the file"))
    }

    fn stored_range(&self, entry: &Entry) -> Option<Range<usize>> {
        let header = usize::try_from(entry.local_header).ok()?;
        tagged(self.bytes, header, LOCAL_HEADER)?;
        // Name and padding of the local header have their own lengths: torch aligns data there.
        let name = usize::from(u16_at(self.bytes, header.checked_add(26)?)?);
        let extra = usize::from(u16_at(self.bytes, header.checked_add(28)?)?);
        let start = header.checked_add(30)?.checked_add(name)?.checked_add(extra)?;
        let end = start.checked_add(usize::try_from(entry.size).ok()?)?;
        (end <= self.bytes.len()).then_some(start..end)
    }
}

/// The record stands last, behind it only a comment of at most 64 KiB whose length it states.
fn find_end_of_directory(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(22)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|at| {
        tagged(bytes, *at, END_OF_DIRECTORY).is_some()
            && u16_at(bytes, at + 20)
                .is_some_and(|comment| at + 22 + usize::from(comment) == bytes.len())
    })
}

/// Number of entries, and where the first one is described.
fn directory(bytes: &[u8], end: usize) -> Result<(u64, usize), String> {
    let short = || {
        let count = u16_at(bytes, end.checked_add(10)?)?;
        let start = u32_at(bytes, end.checked_add(16)?)?;
        Some((u64::from(count), u64::from(start)))
    };
    let zip64 = || {
        let locator = end.checked_sub(20)?;
        tagged(bytes, locator, ZIP64_LOCATOR)?;
        let record = usize::try_from(u64_at(bytes, locator.checked_add(8)?)?).ok()?;
        tagged(bytes, record, ZIP64_END_OF_DIRECTORY)?;
        let count = u64_at(bytes, record.checked_add(32)?)?;
        Some((count, u64_at(bytes, record.checked_add(48)?)?))
    };
    let (count, start) =
        zip64().or_else(short).ok_or("the end of the zip directory is malformed")?;
    let start = usize::try_from(start).map_err(|_| "the zip directory lies outside the file")?;
    Ok((count, start))
}

/// One entry of the central directory, and where the next one starts.
fn directory_entry(bytes: &[u8], at: usize) -> Option<(&str, Entry, usize)> {
    let header = tagged(bytes, at, DIRECTORY_ENTRY)?;
    let length = |field: usize| u16_at(header, field).map(usize::from);
    let name_end = 46usize.checked_add(length(28)?)?;
    let extra_end = name_end.checked_add(length(30)?)?;
    let next = at.checked_add(extra_end)?.checked_add(length(32)?)?;
    let name = std::str::from_utf8(header.get(46..name_end)?).ok()?;
    let mut zip64 = zip64_extra(header.get(name_end..extra_end)?);
    // Fields that do not fit in 32 bits are all ones here and follow, in this order, in zip64.
    let mut wide = |field: usize| match u32_at(header, field)? {
        u32::MAX => {
            let (value, rest) = zip64.split_first_chunk::<8>()?;
            zip64 = rest;
            Some(u64::from_le_bytes(*value))
        }
        value => Some(u64::from(value)),
    };
    let size = wide(24)?;
    let _compressed_size = wide(20)?;
    let local_header = wide(42)?;
    let encrypted = u16_at(header, 8)? & 1 != 0;
    Some((name, Entry { method: u16_at(header, 10)?, encrypted, size, local_header }, next))
}

/// Content of the zip64 field among the extra fields of an entry; empty if there is none.
fn zip64_extra(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let [id0, id1, len0, len1] = *head;
        let length = usize::from(u16::from_le_bytes([len0, len1]));
        let Some((content, following)) = rest.split_at_checked(length) else { break };
        if u16::from_le_bytes([id0, id1]) == 1 {
            return content;
        }
        extra = following;
    }
    &[]
}

/// The bytes from `at` on, if they start with `tag`.
fn tagged<'a>(bytes: &'a [u8], at: usize, tag: &[u8; 4]) -> Option<&'a [u8]> {
    bytes.get(at..).filter(|record| record.starts_with(tag))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::Archive;

    /// Archives of 4 GiB and more keep sizes and offsets in zip64 records. This one is small but
    /// written like them.
    #[test]
    fn reads_zip64_records() {
        let content = b"content";
        let mut file = vec![b'.'; 100];
        let local_header = file.len() as u64;
        file.extend(b"PK\x03\x04");
        file.extend([0; 22]);
        file.extend([1, 0, 3, 0]);
        file.extend(b"n...");
        file.extend(content);
        let directory = file.len() as u64;
        file.extend(b"PK\x01\x02");
        file.extend([0; 16]);
        file.extend([0xff; 8]);
        file.extend([1, 0, 33, 0]);
        file.extend([0; 10]);
        file.extend([0xff; 4]);
        file.extend(b"n");
        // Some other field, then zip64: size, compressed size, offset.
        file.extend([9, 9, 1, 0, 0]);
        file.extend([1, 0, 24, 0]);
        file.extend(
            [content.len() as u64, content.len() as u64, local_header]
                .map(u64::to_le_bytes)
                .concat(),
        );
        let end = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend([0; 28]);
        file.extend([1, end - directory, directory].map(u64::to_le_bytes).concat());
        file.extend(b"PK\x06\x07");
        file.extend([0; 4]);
        file.extend(end.to_le_bytes());
        file.extend([0; 4]);
        file.extend(b"PK\x05\x06");
        file.extend([0xff; 16]);
        file.extend([0; 2]);

        let archive = Archive::read(&file).expect("a sound file");
        assert_eq!(archive.content("n"), Ok(&content[..]));
        for length in 0..file.len() {
            assert!(Archive::read(&file[..length]).is_err(), "cut to {length}");
        }
    }
}
