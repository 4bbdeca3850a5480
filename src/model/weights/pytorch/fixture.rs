//! Writes `.pt` files for tests, sound and hostile ones.

use std::path::{Path, PathBuf};

/// A pickle under construction, in protocol 2.
pub(in crate::model::weights) struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// A dict of what `items` pushes.
    pub fn dict(items: impl FnOnce(Self) -> Self) -> Vec<u8> {
        items(Self::new().op(b"}(")).op(b"u.").0
    }

    pub fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    /// LONG1 of eight bytes.
    pub fn int(self, int: i64) -> Self {
        self.op(&[0x8a, 8]).op(&int.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn ints(self, ints: &[i64]) -> Self {
        ints.iter().fold(self.op(b"("), |pickle, int| pickle.int(*int)).op(b"t")
    }

    /// A persistent id of a storage of `len` elements of `dtype`, such as `Float`.
    pub fn storage(self, key: &str, dtype: &str, len: i64) -> Self {
        let pickle = self.op(b"(").text("storage").global("torch", &format!("{dtype}Storage"));
        pickle.text(key).text("cpu").int(len).op(b"tQ")
    }

    /// A view of the storage that `storage` pushes.
    pub fn view(
        self,
        storage: impl FnOnce(Self) -> Self,
        offset: i64,
        shape: &[i64],
        strides: &[i64],
    ) -> Self {
        let pickle = storage(self.global("torch._utils", "_rebuild_tensor_v2").op(b"("));
        let pickle = pickle.int(offset).ints(shape).ints(strides).op(b"\x89");
        pickle.global("collections", "OrderedDict").op(b")RtR")
    }
}

/// A zip file of stored entries, except that each states the compression method given with it.
pub(in crate::model::weights) fn zip(entries: &[(&str, u16, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, method, content) in entries {
        let start = file.len() as u32;
        // From the version needed to the lengths, as in both headers.
        let mut common = vec![20, 0, 0, 0];
        common.extend(method.to_le_bytes());
        common.extend([0; 8]);
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        let padding = [0u8; 7];
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend((padding.len() as u16).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(padding);
        file.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A `.pt` file of a pickle and its storages.
pub(in crate::model::weights) fn write(
    dir: &Path,
    pickle: &[u8],
    storages: &[(&str, &[u8])],
) -> PathBuf {
    let names: Vec<String> = storages.iter().map(|(key, _)| format!("m/data/{key}")).collect();
    let mut entries: Vec<(&str, u16, &[u8])> =
        vec![("m/data.pkl", 0, pickle), ("m/byteorder", 0, b"little")];
    for (name, (_, bytes)) in names.iter().zip(storages) {
        entries.push((name, 0, bytes));
    }
    let path = dir.join("m.pt");
    std::fs::write(&path, zip(&entries)).expect("a file in a temporary directory");
    path
}

pub(in crate::model::weights) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
