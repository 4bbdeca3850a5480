use super::kernels;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Rotary position embedding (Su et al. 2021) in the rotate-half form: dimension `i` is paired
/// with dimension `i + head_dim / 2`, and the pair turned by `position * theta^(-2i / head_dim)`.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[positions, head_dim]`
    cos: Tensor<2>,
    /// `[positions, head_dim]`; the first half is negated, as the rotation needs it.
    sin: Tensor<2>,
}

/// The angles of some positions.
#[derive(Debug, Clone)]
pub struct Angles {
    /// `[n, 1, head_dim]`
    cos: Tensor<3>,
    /// `[n, 1, head_dim]`
    sin: Tensor<3>,
}

impl Rotary {
    /// Tables for positions `0..positions`. `head_dim` is even.
    pub fn new(head_dim: usize, theta: f64, positions: usize, device: &Device) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f64> =
            (0..half).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let mut cos = vec![0f32; positions * head_dim];
        let mut sin = cos.clone();
        for position in 0..positions {
            let row = position * head_dim;
            for (i, frequency) in frequencies.iter().enumerate() {
                // The original multiplies in f32; at long positions that is visible.
                let angle = f64::from(position as f32 * *frequency as f32);
                let (s, c) = angle.sin_cos();
                cos[row + i] = c as f32;
                cos[row + half + i] = c as f32;
                sin[row + i] = -s as f32;
                sin[row + half + i] = s as f32;
            }
        }
        let table = |v| Tensor::from_data(TensorData::new(v, [positions, head_dim]), device);
        Self { cos: table(cos), sin: table(sin) }
    }

    /// Number of positions in the tables.
    pub fn positions(&self) -> usize {
        self.cos.dims()[0]
    }

    /// Cosines and sines of all positions, `[positions, head_dim]`; the first half of the sines is
    /// negated.
    pub(crate) fn tables(&self) -> (&Tensor<2>, &Tensor<2>) {
        (&self.cos, &self.sin)
    }

    /// Angles of `positions`, `[n]`, each within the tables.
    pub fn at(&self, positions: Tensor<1, Int>) -> Angles {
        let rows = |table: &Tensor<2>| table.clone().select(0, positions.clone()).unsqueeze_dim(1);
        Angles { cos: rows(&self.cos), sin: rows(&self.sin) }
    }
}

impl Angles {
    /// Turns the first `heads` heads of `x`, `[n, all heads, head_dim]`.
    pub fn rotate(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        if let Some(turned) = kernels::rotate(&x, heads, &self.cos, &self.sin) {
            return turned;
        }
        let rest = x.dims()[1] - heads;
        let turned = self.rotate_all(x.clone().narrow(1, 0, heads));
        if rest == 0 { turned } else { Tensor::cat(vec![turned, x.narrow(1, heads, rest)], 1) }
    }

    fn rotate_all(&self, x: Tensor<3>) -> Tensor<3> {
        let half = x.dims()[2] / 2;
        let swapped =
            Tensor::cat(vec![x.clone().narrow(2, half, half), x.clone().narrow(2, 0, half)], 2);
        x * self.cos.clone() + swapped * self.sin.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs are halves apart (not neighbours), the second pair turns slower, position 0 is left
    /// alone, and so is the second head.
    #[test]
    fn turns_pairs_half_a_head_apart() {
        let device = Device::flex();
        let rotary = Rotary::new(4, 100.0, 3, &device);
        let x: [f32; 16] = std::array::from_fn(|i| (i % 8 + 1) as f32);
        let x = Tensor::<1>::from_floats(x, &device).reshape([2, 2, 4]);
        let angles = rotary.at(Tensor::from_ints([0, 2], &device));
        let turn = |a: f32, b: f32, angle: f32| {
            (a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin())
        };
        let ((a, c), (b, d)) = (turn(1., 3., 2.0), turn(2., 4., 0.2));
        let want = [1., 2., 3., 4., 5., 6., 7., 8., a, b, c, d, 5., 6., 7., 8.];
        let first = angles.rotate_all(x.clone().narrow(1, 0, 1));
        for (got, heads) in [(first, 1), (angles.rotate(x, 1), 2)] {
            let got: Vec<f32> = got.into_data().iter::<f32>().collect();
            let want = want.chunks(8).flat_map(|row| &row[..4 * heads]);
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{got}, not {want}");
            }
        }
    }
}
