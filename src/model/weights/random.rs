//! Weights that nobody trained, of any shape: what a model costs does not depend on their values.

use super::Weights;
use std::collections::BTreeMap;
use std::path::Path;

/// Parts of names that stand for a value of their own: what leaves numbers as they are.
const ONES: [&str; 3] = ["weight", "running_var", "alpha"];

impl Weights {
    /// Has every tensor that it is asked for. `known` are names whose presence tells sizes, such as
    /// how many layers there are.
    pub fn random(label: &str, known: impl IntoIterator<Item = String>) -> Self {
        let shape = vec![0];
        let tensor = |name| (name, super::TensorSource::owned(Vec::new(), shape.clone()));
        let tensors: BTreeMap<_, _> = known.into_iter().map(tensor).collect();
        Self { invented: true, ..Self::from_tensors(Path::new(label), tensors) }
    }

    /// Whether [`Self::shape`] tells anything.
    pub fn has_shapes(&self) -> bool {
        self.tensors.keys().any(|name| self.shape(name).is_some())
    }

    /// With the names and shapes of these, and values that nobody trained.
    pub fn randomised(self) -> Self {
        Self { invented: true, ..self }
    }
}

/// Equal names give equal values. Matrices keep the variance of what they multiply; vectors
/// change nothing, so that norms norm.
pub(super) fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let count = shape.iter().product();
    let inputs: usize = shape.iter().skip(1).product();
    if shape.len() < 2 {
        let last = name.rsplit('.').next().unwrap_or(name);
        return vec![if ONES.contains(&last) { 1.0 } else { 0.0 }; count];
    }
    // Uniform in ±a has a variance of a²/3.
    let a = (3.0 / inputs.max(1) as f32).sqrt();
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut draw = || {
        // Steele, Lea and Flood 2014: SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32;
        a * (2.0 * unit - 1.0)
    };
    (0..count).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_matrix_keeps_the_variance() {
        let values = values("layer.weight", &[64, 1024]);
        let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        assert!((variance * 1024.0 - 1.0).abs() < 0.05, "{variance}");
        assert_ne!(values[..1024], values[1024..2048]);
    }

    #[test]
    fn whatever_is_asked_for_is_there_and_the_same_again() {
        let weights = Weights::random("random", ["block3.layer12".to_owned()]);
        let device = Device::flex();
        let scope = weights.scope(&device);
        let read = || scope.sub("a").values("weight", &[2, 3]).expect("values");
        assert_eq!(read(), read());
        assert_eq!(scope.values("norm.weight", &[2]).ok(), Some(vec![1.0; 2]));
        assert_eq!(scope.values("norm.bias", &[2]).ok(), Some(vec![0.0; 2]));
        assert!(scope.contains("anything") && scope.shape("block3.layer12").is_none());
        assert!(weights.names().any(|name| name == "block3.layer12"));
    }
}
