//! The kernel against Burn's operations.

use super::super::testing::{assert_each_close, random, there, uniform};
use super::*;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{activation, module};

fn close(name: &str, got: Tensor<3>, want: Tensor<3>) {
    assert_each_close(name, got, want, 2e-5);
}

fn snake(x: Tensor<3>, alpha: &Tensor<1>) -> Tensor<3> {
    let alpha: Tensor<3> = alpha.clone().reshape([1, alpha.dims()[0], 1]);
    let sine = (x.clone() * alpha.clone()).sin();
    x + sine.clone() * sine / (alpha + 1e-9)
}

/// Protects lengths about the edges of a cube, channels that no block divides, padding of one
/// side, dilation, strides, and every combination of what comes before and after.
#[test]
fn equals_plain_operations() {
    let shapes = [
        // batch, in, out, time, kernel, stride, dilation, padding
        (1, 1, 1, 1, 1, 1, 1, (0, 0)),
        (1, 32, 32, 128, 3, 1, 1, (1, 1)),
        (2, 18, 33, 129, 7, 1, 1, (3, 3)),
        (1, 64, 64, 257, 11, 1, 5, (25, 25)),
        (1, 64, 18, 100, 7, 1, 1, (3, 3)),
        (1, 20, 256, 65, 3, 1, 3, (3, 3)),
        (3, 80, 512, 33, 3, 1, 1, (1, 1)),
        (1, 18, 256, 961, 30, 15, 1, (7, 7)),
        (1, 18, 128, 300, 6, 3, 1, (1, 1)),
        (1, 18, 64, 70, 1, 1, 1, (0, 0)),
        (1, 5, 40, 90, 3, 2, 1, (1, 1)),
        (1, 8, 12, 20, 5, 1, 2, (8, 0)),
    ];
    for (batch, input, output, time, kernel, stride, dilation, padding) in shapes {
        let name = format!("{input} to {output}, kernel {kernel}");
        let weight = random([output, input, kernel]) / (input * kernel) as f64;
        let (bias, x): (Tensor<1>, _) = (random([output]), random([batch, input, time]));
        let alpha = uniform([input], 0.1, 3.0);
        let options = ConvOptions::new_with_padding([stride], [padding], [dilation], 1);
        let plain = |x, bias| module::conv1d(x, weight.clone(), bias, options.clone());
        let conv = |bias: Option<Tensor<1>>| {
            let bias = bias.as_ref().map(there);
            Convolution::new(&there(&weight), bias.as_ref(), stride, padding, dilation).unwrap()
        };
        let (with, without) = (conv(Some(bias.clone())), conv(None));
        let a = Alpha::new(&there(&alpha)).unwrap();

        let got = without.forward(there(&x), Before::None, After::None, false);
        close(&name, got, plain(x.clone(), None));
        let got = with.forward(there(&x), Before::Leaky(0.1), After::Elu, false);
        let leaky = activation::leaky_relu(x.clone(), 0.1);
        close(&name, got, activation::elu(plain(leaky, Some(bias.clone())), 1.0));
        let want = plain(snake(x.clone(), &alpha), Some(bias));
        let sum = random(want.dims());
        let got = with.forward(there(&x), Before::Snake(&a), After::Add(there(&sum)), false);
        close(&name, got, sum.clone() + want.clone());
        let other = random(want.dims());
        let after = After::AddTwo(there(&sum), there(&other), 0.25);
        let got = with.forward(there(&x), Before::Snake(&a), after, false);
        close(&name, got, (sum + other + want) * 0.25);
    }
}

/// Protects rates that do and do not divide the kernel, cuts, and the reflected frame.
#[test]
fn transposed_equals_burns() {
    let shapes = [
        // batch, in, out, time, kernel, rate, cut
        (1, 1, 1, 1, 1, 1, 0),
        (1, 512, 256, 13, 16, 8, 4),
        (2, 256, 128, 33, 11, 5, 3),
        (1, 128, 64, 200, 7, 3, 2),
        (1, 18, 1, 481, 16, 4, 8),
        (1, 4, 3, 9, 2, 3, 0),
    ];
    for (batch, input, output, time, kernel, rate, cut) in shapes {
        let name = format!("{input} to {output}, kernel {kernel}, rate {rate}");
        let weight = random([input, output, kernel]) / input as f64;
        let (bias, x): (Tensor<1>, _) = (random([output]), random([batch, input, time]));
        let conv = Convolution::transposed(&there(&weight), Some(&there(&bias)), rate, cut);
        let conv = conv.unwrap();
        let leaky = activation::leaky_relu(x.clone(), 0.1);
        let options = ConvTransposeOptions::new([rate], [cut], [0], [1], 1);
        let want = module::conv_transpose1d(leaky, weight, Some(bias), options);
        let got = conv.forward(there(&x), Before::Leaky(0.1), After::None, false);
        close(&name, got, want.clone());
        if want.dims()[2] > 1 {
            let want = want.pad([(1, 0)], PadMode::Reflect);
            let sum = random(want.dims());
            let got = conv.forward(there(&x), Before::Leaky(0.1), After::Add(there(&sum)), true);
            close(&name, got, want + sum);
        }
    }
}
