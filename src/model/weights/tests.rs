//! What holds for every format: names, shapes, what was used, and files that were damaged.

use super::pytorch::fixture::{Pickle, f32_bytes, write};
use super::{Weights, WeightsError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn open(path: &str) -> Weights {
    Weights::open(here(path)).unwrap_or_else(|e| panic!("{e}"))
}

fn all_values(weights: &Weights) -> Vec<(String, Vec<f32>)> {
    let value = |name: &str| {
        let shape = weights.shape(name).expect("a listed name").to_vec();
        weights.values(name, &shape).unwrap_or_else(|e| panic!("{e}"))
    };
    weights.names().map(|name| (name.to_owned(), value(name))).collect()
}

/// `x` and a weight norm below `m`, in the older naming.
fn small_pt(dir: &Path) -> PathBuf {
    let storage = |p: Pickle| p.storage("0", "Float", 6);
    let pickle = Pickle::dict(|p| {
        let p = p.text("x").view(storage, 0, &[2, 2], &[1, 2]);
        let p = p.text("m.weight_g").view(storage, 4, &[2, 1], &[1, 1]);
        p.text("m.weight_v").view(storage, 0, &[2, 2], &[2, 1])
    });
    write(dir, &pickle, &[("0", &f32_bytes(&[3.0, 4.0, 0.0, -2.0, 10.0, 0.5]))])
}

fn small_safetensors(dir: &Path) -> PathBuf {
    let path = dir.join("s.safetensors");
    let bytes = f32_bytes(&[1.0, 2.0, 3.0]);
    let view = |shape: Vec<usize>, bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).expect("view")
    };
    let tensors = [("x", view(vec![3], &bytes)), ("y.z", view(vec![1, 1], &bytes[..4]))];
    std::fs::write(&path, safetensors::serialize(tensors, None).expect("serialize"))
        .expect("write");
    path
}

#[test]
fn pt_and_safetensors_of_one_model_are_equal() {
    let pt = all_values(&open("tests/golden/hift/weights.pt"));
    let safetensors = all_values(&open("tests/golden/hift/weights.safetensors"));
    assert!(pt == safetensors);
    // 328 are stored, of which 82 pairs make one weight each.
    assert_eq!(pt.len(), 328 - 82);
    assert!(pt.iter().all(|(name, _)| !name.contains("original")));
}

#[test]
fn reads_the_bundled_model() {
    for (file, tensors, name, shape) in [
        ("llm.pt", 79, "llm_decoder.weight", vec![6564, 256]),
        ("flow.pt", 318, "input_embedding.weight", vec![6561, 192]),
        ("hift.pt", 328 - 82, "conv_pre.weight", vec![128, 80, 7]),
    ] {
        let start = Instant::now();
        let weights = open(&format!("model_weights/mynah-mini/{file}"));
        let opened = start.elapsed();
        let values = all_values(&weights);
        println!("{file}: opened in {opened:?}, read in {:?}", start.elapsed() - opened);
        assert_eq!(values.len(), tensors, "{file}");
        assert_eq!(weights.shape(name), Some(&shape[..]), "{file}: {name}");
        assert!(values.iter().all(|(_, v)| v.iter().all(|x| x.is_finite())), "{file}");
        // Milliseconds; this allows for a machine that is busy.
        assert!(opened < Duration::from_secs(1), "{file} took {opened:?} to open");
    }
}

#[test]
fn weight_norm_is_folded_and_counts_as_used() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let weights = Weights::open(small_pt(dir.path())).expect("a sound file");
    assert_eq!(weights.names().collect::<Vec<_>>(), ["m.weight", "x"]);
    assert_eq!(weights.values("x", &[2, 2]).expect("x"), [3.0, 0.0, 4.0, -2.0]);
    // Rows (3, 4) and (0, -2) at norms 10 and 0.5.
    assert_eq!(weights.values("m.weight", &[2, 2]).expect("w"), [6.0, 8.0, 0.0, -0.5]);
    assert!(weights.unused().is_empty());
}

#[test]
fn weight_norm_of_unfit_sizes_or_of_nothing_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pickle = |magnitudes: &[i64], directions: &[i64], plain: bool| {
        Pickle::dict(|p| {
            let storage = |p: Pickle| p.storage("0", "Float", 6);
            let p = p.text("m.weight_g").view(storage, 0, magnitudes, &[1, 1]);
            let p = p.text("m.weight_v").view(storage, 0, directions, &[2, 1]);
            if plain { p.text("m.weight").view(storage, 0, &[2], &[1]) } else { p }
        })
    };
    let open = |pickle: Vec<u8>| {
        Weights::open(write(dir.path(), &pickle, &[("0", &f32_bytes(&[0.0; 6]))]))
    };
    for (pickle, reason) in [
        (pickle(&[1, 1], &[2, 2], false), "[1, 1] over [2, 2]"),
        (pickle(&[2, 2], &[2, 2], false), "[2, 2] over [2, 2]"),
        (pickle(&[2, 1], &[2, 2], true), "both"),
    ] {
        let error = open(pickle).err().expect("an error").to_string();
        assert!(error.contains("m.weight") && error.contains(reason), "{error}");
    }
    let weights = open(pickle(&[2, 1], &[2, 2], false)).expect("sound sizes");
    let error = weights.values("m.weight", &[2, 2]).expect_err("zero norm").to_string();
    assert!(error.contains("m.weight") && error.contains("row 0"), "{error}");
    // No elements at all, of rows without length or without rows.
    for shape in [[2, 0], [0, 2]] {
        let weights = open(pickle(&[shape[0], 1], &shape, false)).expect("sound sizes");
        let shape = shape.map(|size| size as usize);
        assert!(weights.values("m.weight", &shape).expect("no values").is_empty());
    }
}

#[test]
fn renaming_moves_components_and_refuses_collisions() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = || Weights::open(small_pt(dir.path())).expect("a sound file");
    let renamed = open().rename(|name| name.replace("m.", "")).expect("no collision");
    assert_eq!(renamed.names().collect::<Vec<_>>(), ["weight", "x"]);
    assert_eq!(renamed.values("weight", &[2, 2]).expect("weight"), [6.0, 8.0, 0.0, -0.5]);
    let error = open().rename(|_| "same".into()).err().expect("a collision").to_string();
    assert!(error.contains("m.pt") && error.contains("`same`"), "{error}");
}

#[test]
fn missing_names_and_wrong_shapes_say_what_was_expected() {
    let weights = open("tests/golden/hift/weights.pt");
    let error = weights.values("conv_pre.nothing", &[7, 2]).expect_err("missing").to_string();
    for part in ["weights.pt", "conv_pre.nothing", "[7, 2]"] {
        assert!(error.contains(part), "{error}");
    }
    let error = weights.values("conv_pre.bias", &[7, 2]).expect_err("shape").to_string();
    for part in ["weights.pt", "conv_pre.bias", "[7, 2]", "[32]"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(weights.unused().contains(&"conv_pre.bias".to_owned()));
}

#[test]
fn opens_either_format_of_a_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error = Weights::open_either(dir.path(), "m").err().expect("nothing there");
    assert!(matches!(error, WeightsError::NotFound { .. }));
    let error = error.to_string();
    assert!(error.contains("m.pt") && error.contains("m.safetensors"), "{error}");
    small_safetensors(dir.path());
    let weights = Weights::open_either(dir.path(), "s").expect("safetensors");
    assert_eq!(weights.values("y.z", &[1, 1]).expect("value"), [1.0]);
    small_pt(dir.path());
    assert!(Weights::open_either(dir.path(), "m").expect("pt").contains("m.weight"));
    let other = dir.path().join("m.npz");
    std::fs::write(&other, b"").expect("write");
    assert!(matches!(Weights::open(&other), Err(WeightsError::UnknownFormat { .. })));
}

#[cfg(unix)]
#[test]
fn things_that_are_not_files_are_errors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let directory = dir.path().join("d.pt");
    std::fs::create_dir(&directory).expect("mkdir");
    let pipe = dir.path().join("p.safetensors");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    for path in [directory, pipe] {
        assert!(matches!(Weights::open(path), Err(WeightsError::Io { .. })));
    }
}

/// Opens what `damage` made of a file and reads all of it; whether that works is open, but every
/// error has to name the file.
fn survive(path: &Path, damaged: &[u8]) {
    std::fs::write(path, damaged).expect("write");
    let name = path.file_name().and_then(|n| n.to_str()).expect("a plain name");
    let read = || {
        let weights = Weights::open(path)?;
        for tensor in weights.names() {
            let shape = weights.shape(tensor).expect("a listed name");
            let elements = shape.iter().product::<usize>();
            assert!(elements <= damaged.len(), "{tensor} of {shape:?} is larger than its file");
            assert_eq!(weights.values(tensor, shape)?.len(), elements);
        }
        Ok::<_, WeightsError>(())
    };
    if let Err(error) = read() {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let start = Instant::now();
    for path in [small_pt(dir.path()), small_safetensors(dir.path())] {
        let sound = std::fs::read(&path).expect("read");
        for length in 0..sound.len() {
            survive(&path, &sound[..length]);
        }
        for at in 0..sound.len() {
            for flip in [1, 4, 32, 128, 255] {
                let mut damaged = sound.clone();
                damaged[at] ^= flip;
                survive(&path, &damaged);
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// As above on a file that PyTorch wrote: some hundred places in its index and all over it.
#[test]
fn damaged_files_of_torch_never_panic() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("w.pt");
    let sound = std::fs::read(here("tests/golden/hift/weights.pt")).expect("read");
    let everywhere = (0..sound.len()).step_by(7919);
    // The pickle stands first, the zip directory last.
    let pickle = (0..68_000).step_by(331);
    let directory = (sound.len() - 20_000..sound.len()).step_by(97);
    for at in everywhere.chain(pickle).chain(directory) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        survive(&path, &damaged);
        if at % 3 == 0 {
            survive(&path, &sound[..at]);
        }
    }
}

/// Sizes whose sums leave 64 bits.
#[test]
fn safetensors_of_huge_sizes_are_errors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s.safetensors");
    for (shape, size) in [
        ("18446744073709551615".to_owned(), u64::MAX),
        ("18446744073709551500".to_owned(), u64::MAX - 115),
        ("4294967296,4294967296".to_owned(), 0),
        ("4611686018427387904".to_owned(), 1 << 62),
    ] {
        let header =
            format!(r#"{{"x":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,{size}]}}}}"#);
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        std::fs::write(&path, file).expect("write");
        let error = Weights::open(&path).err().expect("refused").to_string();
        assert!(error.contains("s.safetensors"), "{error}");
    }
}
