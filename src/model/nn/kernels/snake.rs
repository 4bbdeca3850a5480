use super::cube::Alpha;
use super::sine::sine_squared;
use super::{CHUNK, into_flex, is_ours, vectorised};
use burn::backend::Flex;
use burn::tensor::Tensor;
use rayon::prelude::*;

/// Snake activation (Ziyin et al. 2020): `x + sin(a x)^2 / (a + 1e-9)`, `a` per channel.
#[derive(Debug, Clone)]
pub(crate) struct Snake {
    alpha: Vec<f32>,
    /// The same, `[1, channels, 1]`.
    tensor: Tensor<3>,
    gpu: Option<Alpha>,
}

impl Snake {
    /// From `a` `[channels]`.
    pub fn new(alpha: Tensor<1>) -> Self {
        let (values, [channels]) = (alpha.to_data().iter().collect(), alpha.dims());
        let gpu = Alpha::new(&alpha);
        Self { alpha: values, tensor: alpha.reshape([1, channels, 1]), gpu }
    }

    /// For the kernels of GPUs; none elsewhere.
    pub fn gpu(&self) -> Option<&Alpha> {
        self.gpu.as_ref()
    }

    /// BCT to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        if let Some(alpha) = &self.gpu {
            return alpha.forward(x);
        }
        let [_, channels, time] = x.dims();
        if !is_ours(&x) || channels != self.alpha.len() || time == 0 {
            return self.portable(x);
        }
        let mut x = into_flex(x);
        let values: &mut [f32] = x.storage_mut();
        let rows = values.par_chunks_mut(time).with_min_len(CHUNK.div_ceil(time)).enumerate();
        rows.for_each(|(row, values)| self.row(row % channels, values));
        Tensor::from_primitive::<Flex>(x)
    }

    /// In place, values of one channel.
    pub fn row(&self, channel: usize, values: &mut [f32]) {
        if let Some(alpha) = self.alpha.get(channel) {
            snake(values, *alpha);
        }
    }

    fn portable(&self, x: Tensor<3>) -> Tensor<3> {
        let sine = (x.clone() * self.tensor.clone()).sin();
        x + sine.clone() * sine / (self.tensor.clone() + 1e-9)
    }
}

vectorised!(snake, snake_body(values: &mut [f32], alpha: f32));

#[inline(always)]
fn snake_body(values: &mut [f32], alpha: f32) {
    let scale = 1.0 / (alpha + 1e-9);
    for x in values {
        *x += sine_squared(alpha * *x) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Protects the way from a row to its channel, in batches, in rows of no whole vector and in
    /// so many rows that threads share them.
    #[test]
    fn equals_plain_operations() {
        let device = Device::flex();
        for shape in [[1, 1, 1], [1, 3, 7], [2, 5, 33], [3, 64, 900], [2, 2, 0]] {
            let alpha: Tensor<1> =
                Tensor::random([shape[1]], Distribution::Uniform(0.05, 8.0), &device);
            let snake = Snake::new(alpha);
            let x: Tensor<3> = Tensor::random(shape, Distribution::Normal(0.0, 20.0), &device);
            let (got, want) = (snake.forward(x.clone()), snake.portable(x));
            assert_eq!(got.dims(), want.dims());
            let got: Vec<f32> = got.into_data().iter().collect();
            let want: Vec<f32> = want.into_data().iter().collect();
            for (got, want) in got.into_iter().zip(want) {
                assert!((got - want).abs() <= 1e-5 * (1.0 + want.abs()), "{got}, not {want}");
            }
        }
    }
}
