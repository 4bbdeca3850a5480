//! The readers over bytes in memory: entries for the fuzz targets in `fuzz/`.

use super::archive::Archive;
use super::onnx::Graph;
use super::state_dict::state_dict;
use memmap2::MmapMut;
use std::path::Path;
use std::sync::Arc;

/// The pickle of a `.pt` file. Returns whether it describes tensors.
pub fn pickle(bytes: &[u8]) -> bool {
    state_dict(bytes).is_ok()
}

/// The zip archive of a `.pt` file. Returns whether all of its entries can be read.
pub fn archive(bytes: &[u8]) -> bool {
    let Ok(archive) = Archive::read(bytes) else { return false };
    archive.names().all(|name| archive.content(name).is_ok())
}

/// An ONNX file, and the values of its tensors. Returns whether it is one.
pub fn onnx(bytes: &[u8]) -> bool {
    let Ok(mut map) = MmapMut::map_anon(bytes.len().max(1)) else { return false };
    map[..bytes.len()].copy_from_slice(bytes);
    let Ok(map) = map.make_read_only() else { return false };
    let Ok(graph) = Graph::read(&Arc::new(map), Path::new("fuzz.onnx")) else { return false };
    let weights = graph.weights();
    let names: Vec<_> = weights.names().map(str::to_string).collect();
    for name in names {
        if let Some(shape) = weights.shape(&name).map(<[usize]>::to_vec) {
            let _ = weights.values(&name, &shape);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets that refuse everything would find nothing.
    #[test]
    fn what_is_sound_gets_through() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let read = |name: &str| std::fs::read(dir.join(name)).expect("a bundled file");
        assert!(onnx(&read("campplus.onnx")));
        let file = read("hift.pt");
        assert!(archive(&file) && !archive(b"PK"));
        let archive = Archive::read(&file).expect("an archive");
        let name = archive.names().find(|name| name.ends_with("data.pkl")).expect("a pickle");
        let whole = archive.content(name).expect("its bytes");
        assert!(pickle(whole) && !pickle(&whole[..whole.len() / 2]));
        assert!(!onnx(b"\xff\xff"));
    }
}
