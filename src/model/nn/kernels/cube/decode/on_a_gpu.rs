//! The kernels against attention by the formula, on the host.

use super::super::testing::{self, error, test_device, values};
use super::*;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Numbers about as large as activations.
fn random(n: usize) -> Vec<f32> {
    values(testing::random([n]) * 0.8)
}

/// One layer of a decoder on the host, by the formula.
struct Plain {
    shape: PageShape,
    cos: Vec<f32>,
    sin: Vec<f32>,
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

const POSITIONS: usize = 1100;

fn angles(dim: usize) -> (Vec<f32>, Vec<f32>) {
    let angle = |i: usize| {
        let (position, lane) = (i / dim, i % dim % (dim / 2));
        position as f32 * 0.7f32.powi(lane as i32)
    };
    let sign = |i: usize| if i % dim < dim / 2 { -1.0 } else { 1.0 };
    let all = 0..POSITIONS * dim;
    let cos = all.clone().map(|i| angle(i).cos()).collect();
    (cos, all.map(|i| sign(i) * angle(i).sin()).collect())
}

impl Plain {
    fn new(shape: PageShape) -> Self {
        let (cos, sin) = angles(shape.head_dim);
        Self { shape, cos, sin, keys: Vec::new(), values: Vec::new() }
    }

    fn turn(&self, x: &[f32], position: usize) -> Vec<f32> {
        let dim = self.shape.head_dim;
        let at = |i: usize| position * dim + i;
        let other = |i: usize| x[(i + dim / 2) % dim];
        (0..dim).map(|i| x[i] * self.cos[at(i)] + other(i) * self.sin[at(i)]).collect()
    }

    /// One more position; the row attends to all.
    fn push(&mut self, qkv: &[f32]) -> Vec<f32> {
        let PageShape { heads, kv_heads, head_dim: dim, .. } = self.shape;
        let position = self.keys.len();
        let head = |i: usize| &qkv[i * dim..][..dim];
        let keys = (0..kv_heads).flat_map(|i| self.turn(head(heads + i), position));
        self.keys.push(keys.collect());
        self.values.push(qkv[(heads + kv_heads) * dim..].to_vec());
        let mut out = Vec::new();
        for i in 0..heads {
            let query = self.turn(head(i), position);
            let place = i / (heads / kv_heads) * dim;
            let dot = |key: &Vec<f32>| -> f64 {
                key[place..].iter().zip(&query).map(|(k, q)| f64::from(k * q)).sum()
            };
            let scores: Vec<f64> = self.keys.iter().map(dot).collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            for c in 0..dim {
                let value = |v: &Vec<f32>| f64::from(v[place + c]);
                let sum: f64 = self.values.iter().zip(&weights).map(|(v, w)| value(v) * w).sum();
                out.push((sum / total) as f32);
            }
        }
        out
    }
}

struct Run {
    memory: PageMemory,
    cos: Tensor<2>,
    sin: Tensor<2>,
    device: Device,
}

impl Run {
    fn new(shape: PageShape, dtype: DType, pages: usize) -> Self {
        let device = test_device();
        let dim = shape.head_dim;
        let table = |v: Vec<f32>| Tensor::from_data(TensorData::new(v, [POSITIONS, dim]), &device);
        let (cos, sin) = angles(dim);
        let mut memory = PageMemory::new(&device, shape, dtype).unwrap();
        memory.grow(pages);
        Self { memory, cos: table(cos), sin: table(sin), device }
    }

    fn step(&self, sequences: &[PageRows]) -> PageStep {
        self.memory.step((&self.cos, &self.sin), sequences).unwrap()
    }

    fn attend(&self, step: &PageStep, qkv: Vec<f32>, layer: usize) -> Vec<f32> {
        let dim = self.memory.shape.head_dim;
        let all = qkv.len() / step.rows / dim;
        let qkv = TensorData::new(qkv, [step.rows, all, dim]);
        let out = step.attend(Tensor::from_data(qkv, &self.device), layer);
        values(out)
    }
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize) -> PageShape {
    PageShape { positions: PAGE, layers: 2, heads, kv_heads, head_dim }
}

#[track_caller]
fn assert_close(what: &str, got: &[f32], want: &[f32]) {
    let error = error(got, want);
    assert!(error <= 1e-5, "{what}: {error:e}");
}

/// Pages of four sequences, mixed up.
fn pages(sequence: usize, positions: usize) -> Vec<u32> {
    (0..positions.div_ceil(PAGE)).map(|i| (4 * i + (sequence + i) % 4) as u32).collect()
}

/// Protects the kernels' arithmetic and addresses: rows of several sequences in odd portions,
/// then a row of each, over two layers, against the formula; sizes of all vector widths, shared
/// and unshared heads, lengths at the edges of pages and blocks.
#[test]
fn equals_softmax_attention() {
    for (shape) in
        [shape(14, 2, 64), shape(4, 2, 16), shape(3, 3, 6), shape(6, 1, 20), shape(2, 1, 128)]
    {
        let all = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
        let run = Run::new(shape, DType::F32, 24);
        let mut plain: Vec<[Plain; 2]> =
            (0..4).map(|_| [Plain::new(shape), Plain::new(shape)]).collect();
        let portions: [&[(usize, usize)]; 6] = [
            &[(0, 1)],
            &[(1, 63), (0, 7), (3, 300)],
            &[(2, 1), (3, 1), (1, 1), (0, 1)],
            &[(1, 1), (2, 255)],
            &[(2, 1), (3, 1), (1, 1)],
            &[(2, 70)],
        ];
        for (i, portion) in portions.into_iter().enumerate() {
            let sequences: Vec<_> = portion
                .iter()
                .map(|(s, rows)| {
                    let len = plain[*s][0].keys.len();
                    PageRows { pages: pages(*s, len + rows), len, rows: *rows }
                })
                .collect();
            let step = run.step(&sequences);
            for layer in 0..2 {
                let qkv = random(step.rows * all);
                let mut want = Vec::new();
                let mut rows = qkv.chunks(all);
                for (s, count) in portion {
                    for row in rows.by_ref().take(*count) {
                        want.extend(plain[*s][layer].push(row));
                    }
                }
                let got = run.attend(&step, qkv, layer);
                assert_close(&format!("{shape:?}, call {i}"), &got, &want);
            }
        }
    }
}

/// Protects the promise that a row is the same to the last bit whoever is beside it and
/// wherever its pages are, and that one launch and two do the same.
#[test]
fn a_row_depends_on_its_own_sequence_alone() {
    let shape = shape(6, 2, 32);
    let all = 10 * 32;
    let run = Run::new(shape, DType::F32, 64);
    let past = random(333 * all);
    let new = random(all);
    let one = |sequence: usize, portion: usize, company: bool| {
        let rows =
            |s: usize, len: usize, rows: usize| PageRows { pages: pages(s, len + rows), len, rows };
        for (i, part) in past.chunks(portion * all).enumerate() {
            let n = part.len() / all;
            let step = run.step(&[rows(sequence, i * portion, n)]);
            run.attend(&step, part.to_vec(), 0);
        }
        let (sequences, at) = match company {
            true => (vec![rows(3, 0, 2), rows(sequence, 333, 1)], 2),
            false => (vec![rows(sequence, 333, 1)], 0),
        };
        let step = run.step(&sequences);
        let mut qkv = random(at * all);
        qkv.extend(&new);
        run.attend(&step, qkv, 0)[at * 6 * 32..].to_vec()
    };
    let want = one(0, 333, false);
    assert_eq!(one(1, 50, false), want, "other pages, other portions");
    assert_eq!(one(2, 7, true), want, "in company, and two launches");
}

/// Protects what grows and what is copied: the past is still there.
#[test]
fn pages_keep_their_contents() {
    let shape = shape(2, 2, 8);
    let all = 6 * 8;
    let mut run = Run::new(shape, DType::F32, 2);
    let mut plain = Plain::new(shape);
    let qkv = random(100 * all);
    qkv.chunks(all).for_each(|row| drop(plain.push(row)));
    let step = run.step(&[PageRows { pages: vec![1, 0], len: 0, rows: 100 }]);
    run.attend(&step, qkv, 1);
    run.memory.grow(1);
    run.memory.grow(7);
    assert_eq!(run.memory.pages(), 7);
    run.memory.copy(0, 5);
    run.memory.copy(7, 1);
    let row = random(all);
    let want = plain.push(&row);
    for pages in [vec![1, 5], vec![1, 0]] {
        let step = run.step(&[PageRows { pages, len: 100, rows: 1 }]);
        assert_close("after growth", &run.attend(&step, row.clone(), 1), &want);
    }
    let tables = (&run.cos, &run.sin);
    for (pages, len) in [(vec![1, 7], 100), (vec![1], 64), (vec![0; 30], POSITIONS)] {
        let rows = [PageRows { pages, len, rows: 1 }];
        assert!(run.memory.step(tables, &rows).is_none(), "{rows:?}");
    }
    assert!(run.memory.step(tables, &[]).is_none());
}
