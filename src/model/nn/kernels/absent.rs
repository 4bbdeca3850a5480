//! What stands in for the kernels of GPUs in a binary without them: none can be made, so none is
//! ever run.

#[path = "cube/pages.rs"]
mod pages;

pub(crate) use pages::{PAGE, PageRows, PageShape};

use super::{Activation, Norm};
use burn::tensor::{DType, Device, Tensor};

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

    pub fn causal_windows(_: Tensor<3>, _: Option<Tensor<3>>, _: usize) -> Self {
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

#[derive(Debug)]
pub(crate) enum PageMemory {}

#[derive(Debug)]
pub(crate) enum PageStep {}

impl PageMemory {
    pub fn new(_: &Device, _: PageShape, _: DType) -> Option<Self> {
        None
    }

    pub fn pages(&self) -> usize {
        match *self {}
    }

    pub fn page_bytes(&self) -> usize {
        match *self {}
    }

    pub fn most_pages(&self) -> usize {
        match *self {}
    }

    pub fn grow(&mut self, _: usize) {
        match *self {}
    }

    pub fn copy(&self, _: u32, _: u32) {
        match *self {}
    }

    pub fn step(&self, _: (&Tensor<2>, &Tensor<2>), _: &[PageRows]) -> Option<PageStep> {
        match *self {}
    }
}

impl PageStep {
    pub fn attend(&self, _: Tensor<3>, _: usize) -> Tensor<2> {
        match *self {}
    }
}
