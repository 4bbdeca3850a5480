//! The kernel against plain products.

use super::super::testing::{assert_close, random, there, values};
use super::*;
use burn::tensor::activation;

/// Protects the sums for sizes that no block divides, one row and many, with bias and residual
/// and each activation; and that a row alone is the row among others, to the last bit.
#[test]
fn equals_the_plain_product() {
    for (rows, depth, width) in
        [(1, 4, 4), (2, 896, 1152), (3, 36, 20), (9, 1200, 72), (100, 256, 128)]
    {
        let what = format!("{rows} x {depth} x {width}");
        let (x, weight) = (random([rows, depth]), random([depth, width]) / (depth as f64).sqrt());
        let (bias, residual) = (random([width]), random([rows, width]));
        let plain = x.clone().matmul(weight.clone()) + bias.clone().unsqueeze::<2>();
        let product = Product::new(&there(&weight), Some(&there(&bias))).unwrap();
        let product = product.for_few_rows();
        let input = || ProductInput::rows(there(&x));
        let got = product.forward(input(), None);
        let first = product.forward(ProductInput::rows(there(&x).narrow(0, rows - 1, 1)), None);
        assert_eq!(first.into_data(), got.clone().narrow(0, rows - 1, 1).into_data(), "{what}");
        assert_close(&what, got, plain.clone(), 2e-6);
        for (kind, f) in [
            (Activation::Gelu, activation::gelu as fn(Tensor<2>) -> Tensor<2>),
            (Activation::Silu, activation::silu),
        ] {
            let got = product.clone().then(kind).forward(input(), Some(there(&residual)));
            assert_close(&what, got, f(plain.clone()) + residual.clone(), 2e-6);
        }
    }
}

/// Protects normalisation over rows longer than what is in shared memory at a time, the gate's
/// columns.
#[test]
fn normalises_and_gates() {
    for (rows, depth, inner) in [(1, 896, 64), (5, 40, 36), (17, 1028, 4)] {
        let what = format!("{rows} x {depth} x {inner}");
        let x = random([rows, depth]) + 0.3;
        let (gate, up) = (random([depth, inner]) / 30.0, random([depth, inner]) / 30.0);
        let (gain, shift) = (random([depth]), random([depth]));
        let input = || ProductInput::rows(there(&x));
        let square = (x.clone() * x.clone()).mean_dim(1);
        let rms = x.clone() / (square + 1e-6).sqrt() * gain.clone().unsqueeze::<2>();
        let product = Product::gated(there(&gate), there(&up)).unwrap();
        let product = product.after(Norm::Rms, &there(&gain), None, 1e-6);
        let want = activation::silu(rms.clone().matmul(gate.clone())) * rms.matmul(up.clone());
        assert_close(&what, product.forward(input(), None), want, 5e-6);

        let centred = x.clone() - x.clone().mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        let normal = centred / (variance + 1e-5).sqrt() * gain.clone().unsqueeze::<2>()
            + shift.clone().unsqueeze::<2>();
        let product = Product::new(&there(&gate), None).unwrap();
        let product = product.after(Norm::Layer, &there(&gain), Some(&there(&shift)), 1e-5);
        assert_close(&what, product.forward(input(), None), normal.matmul(gate), 5e-6);
    }
}

/// Protects the rows of a convolution: neighbours that overlap, and batches.
#[test]
fn windows_are_rows() {
    let (x, weight) = (random([2, 7, 8]), random([24, 12]));
    let product = Product::new(&there(&weight), None).unwrap();
    let got = product.forward(ProductInput::windows(there(&x), 3), None);
    let rows = x.clone().reshape([2, 56]).unfold::<3, _>(1, 24, 8).reshape([10, 24]);
    assert_close("windows", got, rows.clone().matmul(weight.clone()), 2e-6);
    let (past, x) = (x.clone().narrow(1, 0, 2), x.narrow(1, 2, 5));
    let input = ProductInput::causal_windows(there(&x), Some(there(&past)), 3);
    assert_close("past", product.forward(input, None), rows.matmul(weight.clone()), 2e-6);
    let input = ProductInput::causal_windows(there(&x), None, 3);
    let x = Tensor::cat(vec![past.zeros_like(), x], 1);
    let rows = x.reshape([2, 56]).unfold::<3, _>(1, 24, 8).reshape([10, 24]);
    assert_close("no past", product.forward(input, None), rows.matmul(weight), 2e-6);
}

/// Protects convolutions that go on from tails beside each other: in pieces, of which some are
/// shorter than what is kept, they give what they give in one, for every row of a batch.
#[test]
fn tails_are_gone_on_from() {
    let convs = [(8, 3), (4, 5)];
    let width: usize = convs.iter().map(|(channels, kernel)| channels * (kernel - 1)).sum();
    let products = convs.map(|(channels, kernel)| {
        Product::new(&there(&random([channels * kernel, 12])), None).unwrap()
    });
    let x = convs.map(|(channels, _)| random([3, 60, channels]));
    let whole: Vec<_> = (0..2)
        .map(|c| {
            let input = ProductInput::causal_windows(there(&x[c]), None, convs[c].1);
            products[c].forward(input, None).reshape([3, 60, 12])
        })
        .collect();
    let (mut kept, mut from) = (None, 0);
    for frames in [20, 1, 2, 30, 7] {
        let piece = |c: usize| there(&x[c].clone().narrow(1, from, frames));
        let tails = Tails::new(&piece(0), width, kept.take()).unwrap();
        for (c, (_, kernel)) in convs.into_iter().enumerate() {
            let input = ProductInput::going_on(piece(c), kernel, &tails);
            let got = products[c].forward(input, None).reshape([3, frames, 12]);
            let want = whole[c].clone().narrow(1, from, frames);
            assert_eq!(values(got), values(want), "{frames} from {from}");
        }
        kept = Some(tails.finish());
        from += frames;
    }
}
