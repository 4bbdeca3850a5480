//! The protobuf wire format, read in place.
//!
//! A generated or derived decoder builds the whole message tree: an empty sub-message costs two
//! bytes of file and some hundred of memory. This reader allocates nothing, so that what a
//! hostile file can make us hold is decided by who walks it.

use std::ops::Range;

/// A message that lies in `file[start..end]`, walked field by field.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
}

/// One field of a [`Message`].
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub number: u64,
    pub value: Value<'a>,
}

#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    /// A string, packed numbers or a sub-message.
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// The message that fills `file`.
    pub fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0, end: file.len() }
    }

    /// What has not been read yet.
    pub fn bytes(&self) -> &'a [u8] {
        self.file.get(self.at..self.end).unwrap_or_default()
    }

    /// Where [`Self::bytes`] lie in the file.
    pub fn range(&self) -> Range<usize> {
        self.at..self.end
    }

    pub fn text(&self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes())
            .map_err(|_| format!("byte {}: name is not UTF-8", self.at))
    }

    /// The next number of a packed list.
    pub fn varint(&mut self) -> Result<Option<u64>, String> {
        if self.at >= self.end {
            return Ok(None);
        }
        let start = self.at;
        let mut value = 0;
        // Ten groups of seven bits hold any u64.
        for shift in (0..70).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(Some(value));
            }
        }
        Err(format!("byte {start}: number longer than ten bytes"))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.bytes().first_chunk().copied();
        let bytes = bytes.ok_or_else(|| {
            format!("byte {}: expected {N} more bytes, found {}", self.at, self.end - self.at)
        })?;
        self.at += N;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<Option<Field<'a>>, String> {
        let start = self.at;
        let Some(key) = self.varint()? else { return Ok(None) };
        let truncated = || format!("byte {start}: field ends before its value");
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?.ok_or_else(truncated)?),
            1 => Value::Fixed64(self.take()?),
            5 => Value::Fixed32(self.take()?),
            2 => {
                let length = self.varint()?.ok_or_else(truncated)?;
                let left = self.end - self.at;
                let length =
                    usize::try_from(length).ok().filter(|n| *n <= left).ok_or_else(|| {
                        format!("byte {start}: field of {length} bytes where {left} are left")
                    })?;
                let at = self.at;
                self.at += length;
                Value::Bytes(Self { file: self.file, at, end: at + length })
            }
            other => return Err(format!("byte {start}: unknown wire type {other}")),
        };
        Ok(Some(Field { number: key >> 3, value }))
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field().transpose();
        if matches!(field, Some(Err(_))) {
            // Nothing after a broken field can be trusted.
            self.at = self.end;
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_wire_type() {
        // 1: varint 300, 2: fixed32, 3: fixed64, 4: the bytes "ab"
        let mut file = vec![0x08, 0xac, 0x02, 0x15];
        file.extend(1.5f32.to_le_bytes());
        file.push(0x19);
        file.extend(2.5f64.to_le_bytes());
        file.extend([0x22, 2, b'a', b'b']);
        let fields: Vec<_> = Message::new(&file).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields.iter().map(|f| f.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(matches!(fields[0].value, Value::Varint(300)));
        assert!(matches!(fields[1].value, Value::Fixed32(b) if f32::from_le_bytes(b) == 1.5));
        assert!(matches!(fields[2].value, Value::Fixed64(b) if f64::from_le_bytes(b) == 2.5));
        let Value::Bytes(text) = &fields[3].value else { panic!("not bytes") };
        assert_eq!((text.text().unwrap(), text.range()), ("ab", 19..21));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for file in [
            &[0x0a, 5, 1][..], // five bytes announced, one there
            &[0x08],           // a key without its value
            &[0x0d, 0, 0],     // a short fixed32
            &[0x0b],           // a group
            &[0x80; 11],       // an endless number
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // length 2^64 - 1
        ] {
            let read: Vec<_> = Message::new(file).collect();
            assert_eq!(read.len(), 1, "{file:?}");
            assert!(read[0].is_err(), "{file:?}");
        }
    }
}
