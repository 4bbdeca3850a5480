//! Graphs written by hand, whole and broken.

use super::*;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A `TensorProto`: `data` is its values in whatever field.
fn tensor(name: &str, dims: &[u64], dtype: u64, data: Vec<u8>) -> Vec<u8> {
    let dims = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    [dims, number(2, dtype), bytes(8, name), data].concat()
}

fn node(name: &str, op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|input| bytes(1, input)).collect();
    [inputs, bytes(2, output), bytes(3, name), bytes(4, op)].concat()
}

/// A file with a graph of these nodes and initialisers.
fn model(nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
    let nodes = nodes.iter().flat_map(|node| bytes(1, node));
    let graph: Vec<u8> = nodes.chain(tensors.iter().flat_map(|t| bytes(5, t))).collect();
    [number(1, 8), bytes(7, graph)].concat()
}

fn open(file: &[u8]) -> Result<Graph, WeightsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    std::fs::write(&path, file).unwrap();
    Graph::open(&path)
}

fn refusal(file: &[u8]) -> String {
    open(file).err().expect("should be refused").to_string()
}

/// One linear layer, a convolution in a sequence, a norm with constants: all ways of storing.
fn sample() -> Vec<u8> {
    let constant = bytes(
        5,
        [bytes(1, "value"), bytes(5, tensor("", &[2], 1, bytes(9, floats(&[1.0, 1.0]))))].concat(),
    );
    let nodes = [
        node("/blocks.0/attn/query/MatMul", "MatMul", &["x", "onnx::MatMul_7"], "y"),
        node("/blocks.0/attn/query/Add", "Add", &["onnx::Add_6", "y"], "z"),
        node("", "Conv", &["z", "w", "b"], "/head/layer1/layer1.0/conv1/Conv_output_0"),
        [node("/bn/Constant", "Constant", &[], "one"), constant].concat(),
        node("/bn/Identity", "Identity", &["b"], "shared"),
        node(
            "/bn/BatchNormalization",
            "BatchNormalization",
            &["z", "one", "shared", "m", "v"],
            "o",
        ),
        node("/Shape", "Gather", &["o", "b"], "p"),
    ];
    let halves = [0x3c00, 0xc000].into_iter().flat_map(varint).collect::<Vec<u8>>();
    let doubles: Vec<u8> = [0.5f64, 0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let unpacked =
        [varint(4 << 3 | 5), floats(&[7.0]), varint(4 << 3 | 5), floats(&[8.0])].concat();
    let tensors = [
        tensor("onnx::MatMul_7", &[2, 3], 1, bytes(9, floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))),
        tensor("onnx::Add_6", &[3], 1, bytes(4, floats(&[0.1, 0.2, 0.3]))),
        tensor("w", &[2, 1, 1], 10, bytes(5, halves)),
        tensor("b", &[2], 7, bytes(7, [varint(3), varint(-4i64 as u64)].concat())),
        tensor("m", &[2], 1, unpacked),
        tensor("v", &[2], 11, bytes(10, doubles)),
    ];
    model(&nodes, &tensors)
}

#[test]
fn names_and_layouts_are_those_of_the_modules() {
    let weights = open(&sample()).unwrap().weights();
    let query = "blocks.0.attn.query";
    let conv = "head.layer1.0.conv1";
    let expected: [(String, &[usize], &[f32]); 8] = [
        (format!("{query}.weight"), &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        (format!("{query}.bias"), &[3], &[0.1, 0.2, 0.3]),
        (format!("{conv}.weight"), &[2, 1, 1], &[1.0, -2.0]),
        (format!("{conv}.bias"), &[2], &[3.0, -4.0]),
        ("bn.weight".into(), &[2], &[1.0, 1.0]),
        ("bn.bias".into(), &[2], &[3.0, -4.0]),
        ("bn.running_mean".into(), &[2], &[7.0, 8.0]),
        ("bn.running_var".into(), &[2], &[0.5, 0.25]),
    ];
    for (name, shape, values) in &expected {
        assert_eq!(weights.values(name, shape).unwrap(), *values, "{name}");
    }
    assert_eq!(weights.unused(), Vec::<String>::new());
}

#[test]
fn raw_data_of_every_type_are_read() {
    for (dtype, raw) in [
        (1, (-2.0f32).to_le_bytes().to_vec()),
        (6, (-2i32).to_le_bytes().to_vec()),
        (7, (-2i64).to_le_bytes().to_vec()),
        (10, f16::from_f32(-2.0).to_le_bytes().to_vec()),
        (11, (-2.0f64).to_le_bytes().to_vec()),
        (16, bf16::from_f32(-2.0).to_le_bytes().to_vec()),
    ] {
        let conv = node("/conv/Conv", "Conv", &["x", "w"], "y");
        let file = model(&[conv], &[tensor("w", &[1], dtype, bytes(9, raw))]);
        let weights = open(&file).unwrap().weights();
        assert_eq!(weights.values("conv.weight", &[1]).unwrap(), [-2.0], "type {dtype}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let file = sample();
    for length in 0..file.len() {
        let message = refusal(&file[..length]);
        assert!(message.contains("model.onnx"), "{length}: {message}");
    }
}

/// Any byte may be wrong: that is an error or other values, never a panic.
#[test]
fn damage_never_panics() {
    let file = sample();
    for at in 0..file.len() {
        for flip in [0x01, 0x04, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            let Ok(graph) = open(&damaged) else { continue };
            let weights = graph.weights();
            for name in weights.names() {
                let shape = weights.shape(name).unwrap().to_vec();
                let _ = weights.values(name, &shape);
            }
        }
    }
}

#[test]
fn shapes_that_the_data_do_not_fill_are_refused() {
    let raw = || bytes(9, floats(&[1.0]));
    for (dims, data) in [
        (&[2][..], raw()),
        (&[1 << 40], raw()),
        (&[1 << 40, 1 << 40], raw()),
        (&[u64::MAX], raw()),
        (&[1 << 61], raw()),
        (&[1 << 40], bytes(4, floats(&[1.0]))),
        (&[1], bytes(4, [0, 0, 0])),
        (&[1; 9], raw()),
        (&[1], Vec::new()),
    ] {
        let message = refusal(&model(&[], &[tensor("w", dims, 1, data)]));
        assert!(message.contains("tensor `w`") || message.contains("dimensions"), "{message}");
    }
}

/// Types that cannot be weights may be there, as long as nobody asks for their values.
#[test]
fn unreadable_tensors_are_errors_when_asked_for() {
    let conv = node("/conv/Conv", "Conv", &["x", "w", "b"], "y");
    let elsewhere = tensor("b", &[1], 1, number(14, 1));
    let file = model(&[conv], &[tensor("w", &[1], 8, bytes(6, "text")), elsewhere]);
    let weights = open(&file).unwrap().weights();
    let refused = |name: &str| weights.values(name, &[1]).unwrap_err().to_string();
    assert!(refused("conv.weight").contains("`conv.weight`: values of ONNX type 8"));
    assert!(refused("conv.bias").contains("in another file"));
}

/// What two bytes each announce must not cost hundreds of bytes each without end.
#[test]
fn entries_are_limited() {
    let empty = tensor("", &[0], 1, Vec::new());
    let tensors: Vec<_> =
        (0..=MAX_ENTRIES).map(|i| tensor(&i.to_string(), &[0], 1, vec![])).collect();
    assert!(refusal(&model(&[], &tensors)).contains("more than 65536 tensors"));
    let nodes = vec![node("", "Add", &[""], ""); MAX_ENTRIES + 1];
    assert!(
        refusal(&model(&nodes, std::slice::from_ref(&empty))).contains("more than 65536 nodes")
    );
    let wide = node("", "Add", &[""; MAX_INPUTS + 1], "");
    assert!(refusal(&model(&[wide], &[empty])).contains("a node has more than 16 tensors"));
}
