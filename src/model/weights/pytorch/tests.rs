use super::fixture::{Pickle, f32_bytes, write, zip};
use crate::model::weights::Weights;
use std::path::Path;
use tempfile::TempDir;

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn floats(count: usize) -> Vec<u8> {
    f32_bytes(&(0..count).map(|i| i as f32).collect::<Vec<_>>())
}

/// A file of one tensor `x`, a view of a storage of twelve floats 0 … 11.
fn open_view(offset: i64, shape: &[i64], strides: &[i64]) -> Result<Weights, String> {
    let dir = temp();
    let pickle =
        Pickle::dict(|p| p.text("x").view(|p| p.storage("0", "Float", 12), offset, shape, strides));
    Weights::open(write(dir.path(), &pickle, &[("0", &floats(12))])).map_err(|e| e.to_string())
}

fn refused(path: &Path) -> String {
    match Weights::open(path) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => error.to_string(),
    }
}

fn refused_pickle(pickle: &[u8]) -> String {
    let dir = temp();
    refused(&write(dir.path(), pickle, &[("0", &floats(12))]))
}

#[test]
fn reads_strided_views_in_row_major_order() {
    let read = |offset, shape: &[i64], strides: &[i64]| {
        let weights = open_view(offset, shape, strides).expect("a sound file");
        let shape: Vec<usize> = shape.iter().map(|s| *s as usize).collect();
        weights.values("x", &shape).expect("values")
    };
    assert_eq!(read(0, &[2, 3], &[3, 1]), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(read(6, &[2, 3], &[3, 1]), [6., 7., 8., 9., 10., 11.]);
    assert_eq!(read(0, &[3, 4], &[1, 3]), [0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.]);
    assert_eq!(read(1, &[2, 2, 2], &[1, 6, 2]), [1., 3., 7., 9., 2., 4., 8., 10.]);
    assert_eq!(read(11, &[], &[]), [11.]);
    assert_eq!(read(2, &[1, 3, 1], &[99, 4, 77]), [2., 6., 10.]);
    assert!(read(12, &[0, 5], &[5, 1]).is_empty());
    assert!(read(0, &[1 << 40, 0, 1 << 40], &[1, 1, 1]).is_empty());
}

#[test]
fn reads_every_element_type() {
    let dir = temp();
    let types: [(&str, usize, Vec<u8>); 8] = [
        ("Double", 8, [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("Float", 4, f32_bytes(&[1.5, -2.0])),
        ("Half", 2, [0x3e00u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("BFloat16", 2, [0x3fc0u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("Long", 8, [3i64, -2].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("Int", 4, [3i32, -2].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("Byte", 1, vec![3, 254]),
        ("Bool", 1, vec![1, 0]),
    ];
    let pickle = Pickle::dict(|p| {
        types
            .iter()
            .fold(p, |p, (name, ..)| p.text(name).view(|p| p.storage(name, name, 2), 0, &[2], &[1]))
    });
    let storages: Vec<(&str, &[u8])> = types.iter().map(|(n, _, b)| (*n, &b[..])).collect();
    let weights = Weights::open(write(dir.path(), &pickle, &storages)).expect("a sound file");
    for (name, width, bytes) in &types {
        let want: [f32; 2] = match *name {
            "Long" | "Int" => [3.0, -2.0],
            "Byte" => [3.0, 254.0],
            "Bool" => [1.0, 0.0],
            _ => [1.5, -2.0],
        };
        assert_eq!(bytes.len(), 2 * width, "{name}");
        assert_eq!(weights.values(name, &[2]).expect(name), want, "{name}");
    }
}

/// Long enough for the vectorised conversion, and all 65536 values of it.
#[test]
fn widens_every_half() {
    let dir = temp();
    let halves: Vec<half::f16> = (0..=u16::MAX).map(half::f16::from_bits).collect();
    let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
    let pickle =
        Pickle::dict(|p| p.text("x").view(|p| p.storage("0", "Half", 1 << 16), 3, &[65533], &[1]));
    let weights = Weights::open(write(dir.path(), &pickle, &[("0", &bytes)])).expect("sound");
    for (got, half) in weights.values("x", &[65533]).expect("values").iter().zip(&halves[3..]) {
        assert!(*got == half.to_f32() || (got.is_nan() && half.is_nan()), "{got} {half}");
    }
}

#[test]
fn tensors_may_share_a_storage_and_be_parameters() {
    let dir = temp();
    let pickle = Pickle::dict(|p| {
        let p = p.text("a").view(|p| p.storage("0", "Float", 12).op(b"q\x01"), 0, &[12], &[1]);
        let p = p.text("b").global("torch._utils", "_rebuild_parameter").op(b"(");
        let p = p.view(|p| p.op(b"h\x01"), 4, &[2], &[4]).op(b"\x88");
        p.global("collections", "OrderedDict").op(b")RtR")
    });
    let weights =
        Weights::open(write(dir.path(), &pickle, &[("0", &floats(12))])).expect("a sound file");
    assert_eq!(weights.values("a", &[12]).expect("a").len(), 12);
    assert_eq!(weights.values("b", &[2]).expect("b"), [4.0, 8.0]);
}

/// Training checkpoints hold counters beside the tensors, or the state dict under a key.
#[test]
fn finds_the_state_dict_of_checkpoints() {
    let view = |p: Pickle, name| p.text(name).view(|p| p.storage("0", "Float", 12), 0, &[12], &[1]);
    let names = |pickle: &[u8]| {
        let dir = temp();
        let path = write(dir.path(), pickle, &[("0", &floats(12))]);
        let weights = Weights::open(path).map_err(|e| e.to_string())?;
        Ok::<_, String>(weights.names().map(str::to_owned).collect::<Vec<_>>())
    };
    let flat = Pickle::dict(|p| view(p, "x").text("step").int(7).text("loss").op(b"G").op(&[0; 8]));
    assert_eq!(names(&flat), Ok(vec!["x".to_owned()]));
    let one = Pickle::dict(|p| view(p.text("net").op(b"}("), "y").op(b"u").text("log").op(b"](Ne"));
    assert_eq!(names(&one), Ok(vec!["y".to_owned()]));
    let two = |other| {
        Pickle::dict(|p| {
            let p = view(p.text(other).op(b"}("), "z").op(b"u");
            view(p.text("generator").op(b"}("), "y").op(b"u")
        })
    };
    assert_eq!(names(&two("discriminator")), Ok(vec!["y".to_owned()]));
    let none = names(&Pickle::dict(|p| p.text("step").int(7))).expect_err("no tensors");
    assert!(none.contains("holds no tensors"), "{none}");
}

#[test]
fn refuses_globals_and_never_calls_them() {
    let dir = temp();
    let witness = dir.path().join("witness");
    let pickle = Pickle::new().global("os", "system").op(b"(");
    let pickle = pickle.text(&format!("touch {}", witness.display())).op(b"tR.").0;
    let error = refused(&write(dir.path(), &pickle, &[]));
    assert!(error.contains("m.pt") && error.contains("os.system"), "{error}");
    assert!(!witness.exists());
    let error = refused_pickle(&Pickle::dict(|p| p.text("x").global("builtins", "eval")));
    assert!(error.contains("builtins.eval"), "{error}");
    let error = refused_pickle(&Pickle::new().global("a\u{1b}[31m", &"x".repeat(9999)).0);
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn refuses_views_that_leave_or_inflate_their_storage() {
    let huge = 1 << 62;
    for (offset, shape, strides) in [
        (0, vec![13], vec![1]),
        (1, vec![12], vec![1]),
        (13, vec![], vec![]),
        (13, vec![0], vec![1]),
        (0, vec![2, 2], vec![11, 2]),
        (0, vec![huge, 4], vec![4, 1]),
        (0, vec![huge, huge], vec![0, 0]),
        (0, vec![2], vec![huge]),
        (i64::MAX, vec![2, 2, 2], vec![i64::MAX, i64::MAX, i64::MAX]),
        (0, vec![1 << 40], vec![0]),
        (0, vec![13], vec![0]),
        (-1, vec![2], vec![1]),
        (0, vec![-2], vec![1]),
        (0, vec![2], vec![-1]),
        (0, vec![2, 2], vec![1]),
        (0, vec![1; 9], vec![1; 9]),
    ] {
        let error = match open_view(offset, &shape, &strides) {
            Ok(_) => panic!("{offset} {shape:?} {strides:?} was accepted"),
            Err(error) => error,
        };
        assert!(error.contains("m.pt") && error.contains("`x`"), "{error}");
    }
}

#[test]
fn refuses_storages_that_are_not_as_declared() {
    for (key, dtype, len, reason) in [
        ("0", "Float", 13, "13 values"),
        ("0", "Double", 12, "12 values"),
        ("0", "Float", 1 << 62, "values"),
        ("0", "Float", -1, "the size -1"),
        ("7", "Float", 12, "no entry `m/data/7`"),
        ("../byteorder", "Byte", 6, "no entry"),
        ("0", "ComplexFloat", 12, "torch.ComplexFloatStorage"),
    ] {
        let view = |p: Pickle| p.view(|p| p.storage(key, dtype, len), 0, &[1], &[1]);
        let error = refused_pickle(&Pickle::dict(|p| view(p.text("x"))));
        assert!(error.contains("m.pt") && error.contains(reason), "{error}");
    }
}

#[test]
fn refuses_compressed_and_duplicate_entries_and_other_zips() {
    let dir = temp();
    let path = dir.path().join("m.pt");
    let pickle = Pickle::dict(|p| p.text("x").view(|p| p.storage("0", "Float", 2), 0, &[2], &[1]));
    let refuse = |entries: &[(&str, u16, &[u8])], reason: &str| {
        std::fs::write(&path, zip(entries)).expect("write");
        let error = refused(&path);
        assert!(error.contains("m.pt") && error.contains(reason), "{error}");
    };
    let values = [0u8; 8];
    refuse(&[("m/data.pkl", 8, &pickle), ("m/data/0", 0, &values)], "compressed (method 8)");
    refuse(&[("m/data.pkl", 0, &pickle), ("m/data/0", 8, &values)], "`x`: entry `m/data/0` is");
    refuse(&[("m/data.pkl", 0, &pickle), ("m/data/0", 0, &values[1..])], "`x`: its storage");
    refuse(&[("m/data.pkl", 0, &pickle), ("m/data.pkl", 0, &pickle)], "twice");
    refuse(&[("readme", 0, b"x")], "without one `data.pkl`");
    refuse(&[("m/data.pkl", 0, &pickle), ("n/data.pkl", 0, &pickle)], "without one `data.pkl`");
    refuse(&[("m/data.pkl", 0, &pickle), ("m/byteorder", 0, b"big")], "little-endian");
    refuse(&[("m/data.pkl", 0, &vec![b'N'; super::MAX_PICKLE + 1])], "at most");
    for not_a_zip in [&b""[..], b"P", b"\x80\x02}q\0.", &[0; 100_000], b"PK\x05\x06"] {
        std::fs::write(&path, not_a_zip).expect("write");
        assert!(refused(&path).contains("not a zip"), "{:?}", refused(&path));
    }
    assert!(refused(dir.path().join("missing.pt").as_path()).contains("missing.pt"));
}

#[test]
fn refuses_pickles_that_misuse_the_stack() {
    for pickle in [
        &b""[..],
        b".",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x04}.",
        b"N.",
        b"(.",
        b"(a",
        b"t.",
        b"u.",
        b"}u.",
        b"}(Nu.",
        b"NNs.",
        b"}(Ns.",
        b"N\x87.",
        b"N(\x85.",
        b"q\0.",
        b"h\0.",
        b"j\xff\xff\xff\xff.",
        b")R.",
        b"))R.",
        b"NQ.",
        b"b",
        b"NNb.",
        b"X\xff\xff\xff\xffabc",
        b"X\x01\0\0\0\xff.",
        b"cos\nsystem",
        b"\x8a\xff\x01",
        b"\x8a\0.",
        b"G\0\0",
        b"i",
        b"\x93",
        b"o",
        b"0",
        b"2",
    ] {
        let error = refused_pickle(pickle);
        assert!(error.contains("m.pt"), "{error}");
    }
}

/// Values that grow exponentially, or recurse, or refer to themselves when written out. Each has
/// to be read in about the time its bytes take.
#[test]
fn bombs_stay_small() {
    let start = std::time::Instant::now();
    let size = super::MAX_PICKLE / 4;
    let nested = |open: &[u8], close: &[u8]| {
        let pickle = open.repeat(size).into_iter().chain(close.repeat(size));
        pickle.chain(*b".").collect::<Vec<u8>>()
    };
    // Tuples in tuples, marks in marks, dicts in dicts.
    refused_pickle(&nested(b")", b"\x85"));
    refused_pickle(&nested(b"(", b"t"));
    refused_pickle(&nested(b"}N", b"s"));
    // Every tuple holds the one before it twice.
    refused_pickle(&[b")".to_vec(), b"q\0h\0\x86".repeat(size / 4), b".".to_vec()].concat());
    // A dict that holds itself.
    refused_pickle(b"}q\0Nh\0s.");
    // A long name for many tensors or many views of a storage, a long dict under many keys.
    let view = |p: Pickle| p.view(|p| p.storage("0", "Float", 12), 0, &[12], &[1]).op(b"q\x01");
    let long = "n".repeat(size);
    let named = |p: Pickle| view(p.text(&long).op(b"q\0")).op(&b"h\0h\x01".repeat(size / 4));
    refused_pickle(&Pickle::dict(named));
    let stored = |p: Pickle| {
        let p = p.text("x").view(|p| p.storage(&long, "Float", 12), 0, &[12], &[1]).op(b"q\x01");
        (0..size / 10).fold(p, |p, i| p.text(&format!("{i}")).op(b"h\x01"))
    };
    refused_pickle(&Pickle::dict(stored));
    let shared = |p: Pickle| {
        let p = p.op(b"N}q\0(").op(&b"NN".repeat(size / 2)).op(b"u");
        p.op(&b"Nh\0".repeat(size / 3))
    };
    refused_pickle(&Pickle::dict(shared));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
