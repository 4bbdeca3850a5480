//! What stands in for the kernels of GPUs in a binary without them: none can be made, so none is
//! ever run.

use super::{Activation, Norm};
use burn::tensor::Tensor;

const NONE: &str = "no kernel of a GPU is ever made here";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Product(());

#[derive(Debug)]
pub(crate) struct ProductInput(());

impl ProductInput {
    pub fn rows(_: Tensor<2>) -> Self {
        unreachable!("{NONE}")
    }

    pub fn windows(_: Tensor<3>, _: usize) -> Self {
        unreachable!("{NONE}")
    }
}

impl Product {
    pub fn new(_: &Tensor<2>, _: Option<&Tensor<1>>) -> Option<Self> {
        None
    }

    pub fn gated(_: Tensor<2>, _: Tensor<2>) -> Option<Self> {
        None
    }

    pub fn after(self, _: Norm, _: &Tensor<1>, _: Option<&Tensor<1>>, _: f64) -> Self {
        unreachable!("{NONE}")
    }

    pub fn then(self, _: Activation) -> Self {
        unreachable!("{NONE}")
    }

    pub fn forward(&self, _: ProductInput, _: Option<Tensor<2>>) -> Tensor<2> {
        unreachable!("{NONE}")
    }
}
