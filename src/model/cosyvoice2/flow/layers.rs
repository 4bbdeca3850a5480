//! Layers that can go on from where an earlier call stopped.
//!
//! Each takes the state of its past as an option: with it, a call continues the sequence and
//! updates the state; without it, the call is the whole sequence. There is one code for both.

use crate::model::nn::Linear;
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Tensor, activation};

/// The last input frames of a causal convolution, `[batch, kernel - 1, channels]`; none before
/// the first frame, where they are zeros.
#[derive(Debug, Clone, Default)]
pub struct Tail(Option<Tensor<3>>);

impl Tail {
    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, tensor_bytes)
    }
}

/// Convolution of stride 1 that sees only the past: `kernel - 1` frames before the input.
#[derive(Debug, Clone)]
pub struct CausalConv {
    /// Over windows of `kernel` frames: weight `[out, kernel * in]`.
    windows: Linear,
    kernel: usize,
}

impl CausalConv {
    /// Loads `weight` `[out, in, kernel]` and `bias` `[out]`.
    pub fn load(
        scope: &Scope,
        input: usize,
        output: usize,
        kernel: usize,
    ) -> Result<Self, WeightsError> {
        let weight = scope.tensor("weight", [output, input, kernel])?;
        // Tap by tap, as the frames of a window lie in memory.
        let weight = weight.permute([0, 2, 1]).reshape([output, kernel * input]);
        Ok(Self { windows: Linear::new(weight, Some(scope.tensor("bias", [output])?)), kernel })
    }

    /// BTC to BTC, of equal length.
    pub fn forward(&self, x: Tensor<3>, tail: Option<&mut Tail>) -> Tensor<3> {
        let [batch, frames, channels] = x.dims();
        let past = self.kernel - 1;
        if past == 0 {
            return self.windows.forward(x);
        }
        let zeros = || Tensor::zeros([batch, past, channels], &x.device());
        let x = match tail {
            None => Tensor::cat(vec![zeros(), x], 1),
            Some(tail) => {
                let mut kept = tail.0.take().unwrap_or_else(zeros);
                let x = Tensor::cat(vec![kept.clone(), x], 1);
                // Written into a tensor of its own: a view would keep the whole input alive.
                let last = x.clone().narrow(1, frames, past);
                kept.inplace(|kept| kept.slice_assign([0..batch, 0..past, 0..channels], last));
                tail.0 = Some(kept);
                x
            }
        };
        self.windows.forward(windows(x, self.kernel))
    }

    /// BTC to BTC, `kernel - 1` frames shorter: the input brings its own past.
    pub fn forward_valid(&self, x: Tensor<3>) -> Tensor<3> {
        self.windows.forward(windows(x, self.kernel))
    }
}

/// Every run of `kernel` frames as one row: `[batch, frames, channels]` to
/// `[batch, frames - kernel + 1, kernel * channels]`. Frames lie one after another in memory, so
/// this is a view of overlapping rows on the CPU.
fn windows(x: Tensor<3>, kernel: usize) -> Tensor<3> {
    let [batch, frames, channels] = x.dims();
    x.reshape([batch, frames * channels]).unfold(1, kernel * channels, channels)
}

/// Keys and values of past positions, in buffers that grow by half when full and are written in
/// place while nobody else holds them.
#[derive(Debug, Clone, Default)]
pub struct KvCache {
    /// Keys and values, each `[batch, heads, capacity, head_dim]`.
    buffers: Option<[Tensor<4>; 2]>,
    length: usize,
}

impl KvCache {
    /// Adds `[batch, heads, new, head_dim]` keys and values; gives all of them so far.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, new, size] = keys.dims();
        let (start, end) = (self.length, self.length + new);
        let at = [0..batch, 0..heads, start..end, 0..size];
        let capacity = self.buffers.as_ref().map_or(0, |[keys, _]| keys.dims()[2]);
        let mut buffers = match self.buffers.take() {
            Some(buffers) if end <= capacity => buffers,
            old => {
                let shape = [batch, heads, end.max(capacity + capacity / 2), size];
                let mut grown = [0, 1].map(|_| Tensor::zeros(shape, &keys.device()));
                let kept = [0..batch, 0..heads, 0..start, 0..size];
                for (new, old) in grown.iter_mut().zip(old.into_iter().flatten()) {
                    let past = old.narrow(2, 0, start);
                    new.inplace(|new| new.slice_assign(kept.clone(), past));
                }
                grown
            }
        };
        for (buffer, added) in buffers.iter_mut().zip([keys, values]) {
            buffer.inplace(|buffer| buffer.slice_assign(at.clone(), added));
        }
        self.length = end;
        let [keys, values] = self.buffers.insert(buffers).clone();
        (keys.narrow(2, 0, end), values.narrow(2, 0, end))
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().flatten().map(tensor_bytes).sum()
    }
}

fn tensor_bytes<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims().iter().product::<usize>() * tensor.dtype().size()
}

/// `softmax(scores + bias) · values`, heads joined: scores `[batch, heads, queries, keys]`, bias
/// `[1, 1, queries, keys]`, values `[batch, heads, keys, head_dim]`; gives
/// `[batch, queries, heads * head_dim]`.
pub fn attend(scores: Tensor<4>, bias: Option<&Tensor<4>>, values: Tensor<4>) -> Tensor<3> {
    let [batch, heads, queries, _] = scores.dims();
    let size = values.dims()[3];
    let scores = match bias {
        Some(bias) => scores + bias.clone(),
        None => scores,
    };
    let mixed = activation::softmax(scores, 3).matmul(values);
    mixed.swap_dims(1, 2).reshape([batch, queries, heads * size])
}

/// Bias `[1, 1, length, length]` of the block-causal mask: position `i` sees `j` before the end
/// of its own block of `block` positions.
pub fn block_causal_bias(length: usize, block: usize, device: &burn::tensor::Device) -> Tensor<4> {
    let mut values = vec![0.0; length * length];
    for (i, row) in values.chunks_exact_mut(length.max(1)).enumerate() {
        let seen = (i / block + 1) * block;
        row.iter_mut().skip(seen).for_each(|v| *v = -1e10);
    }
    let data = burn::tensor::TensorData::new(values, [1, 1, length, length]);
    Tensor::from_data(data, device)
}
