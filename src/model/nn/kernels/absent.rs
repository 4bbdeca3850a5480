//! What stands in for the kernels of GPUs in a binary without them: none can be made, so none is
//! ever run.

#[path = "cube/sample/draw.rs"]
mod draw;
#[path = "cube/pages/shape.rs"]
mod pages;

pub(crate) use draw::{Draw, Picked};
pub(crate) use pages::{HopPages, PAGE, PageRows, PageShape};

use super::{Activation, Norm};
use burn::tensor::{DType, Device, Tensor};

const NONE: &str = "no kernel of a GPU is ever made here";

#[derive(Debug, Clone)]
pub(crate) struct Product(());

#[derive(Debug)]
pub(crate) struct ProductInput(());

#[derive(Debug)]
pub(crate) struct Tails(());

impl Tails {
    pub fn new(_: &Tensor<3>, _: usize, _: Option<Tensor<2>>) -> Option<Self> {
        None
    }

    pub fn finish(self) -> Tensor<2> {
        unreachable!("{NONE}")
    }
}

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

    pub fn going_on(_: Tensor<3>, _: usize, _: &Tails) -> Self {
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

    pub fn for_few_rows(self) -> Self {
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
pub(crate) struct PageMemory(());

#[derive(Debug)]
pub(crate) struct PageStep(());

impl PageMemory {
    pub fn new(_: &Device, _: PageShape, _: DType) -> Option<Self> {
        None
    }

    pub fn pages(&self) -> usize {
        unreachable!("{NONE}")
    }

    pub fn page_bytes(&self) -> usize {
        unreachable!("{NONE}")
    }

    pub fn most_pages(&self) -> usize {
        unreachable!("{NONE}")
    }

    pub fn grow(&mut self, _: usize) {
        unreachable!("{NONE}")
    }

    pub fn copy(&self, _: u32, _: u32) {
        unreachable!("{NONE}")
    }

    pub fn step(&self, _: (&Tensor<2>, &Tensor<2>), _: &[PageRows]) -> Option<PageStep> {
        unreachable!("{NONE}")
    }

    pub fn hop(&self, _: &[HopPages], _: usize, _: usize, _: usize) -> Option<HopStep> {
        unreachable!("{NONE}")
    }
}

impl PageStep {
    pub fn attend(&self, _: Tensor<3>, _: usize) -> Tensor<2> {
        unreachable!("{NONE}")
    }
}

#[derive(Debug)]
pub(crate) struct HopStep(());

#[derive(Debug)]
pub(crate) struct RelativePositions(());

impl HopStep {
    pub fn seen(&self) -> usize {
        unreachable!("{NONE}")
    }

    pub fn attend(&self, _: &Tensor<3>, _: usize, _: Option<&RelativePositions>) -> Tensor<3> {
        unreachable!("{NONE}")
    }
}

pub(crate) fn attends_hops(_: usize, _: bool) -> bool {
    false
}

pub(crate) fn attend_whole(
    _: &Tensor<3>,
    _: usize,
    _: Option<&RelativePositions>,
) -> Option<Tensor<3>> {
    None
}

pub(crate) fn decodes(_: PageShape) -> bool {
    false
}

impl RelativePositions {
    pub fn new(_: Tensor<3>, _: Tensor<2>, _: usize) -> Option<Self> {
        None
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Alpha(());

impl Alpha {
    pub fn new(_: &Tensor<1>) -> Option<Self> {
        None
    }

    pub fn forward(&self, _: Tensor<3>) -> Tensor<3> {
        unreachable!("{NONE}")
    }
}

#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "nothing reads it here")]
pub(crate) enum Before<'a> {
    None,
    Snake(&'a Alpha),
    Leaky(f32),
}

#[derive(Debug)]
#[expect(dead_code, reason = "nothing reads it here")]
#[expect(clippy::large_enum_variant, reason = "handed over at once")]
pub(crate) enum After {
    None,
    Elu,
    Add(Tensor<3>),
    AddTwo(Tensor<3>, Tensor<3>, f32),
}

#[derive(Debug)]
pub(crate) struct Convolution(());

impl Convolution {
    pub fn new(
        _: &Tensor<3>,
        _: Option<&Tensor<1>>,
        _: usize,
        _: (usize, usize),
        _: usize,
    ) -> Option<Self> {
        None
    }

    pub fn transposed(_: &Tensor<3>, _: Option<&Tensor<1>>, _: usize, _: usize) -> Option<Self> {
        None
    }

    pub fn forward(&self, _: Tensor<3>, _: Before, _: After, _: bool) -> Tensor<3> {
        unreachable!("{NONE}")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Map {
    Gelu,
    Silu,
    Mish,
}

pub(crate) fn map<const D: usize>(x: Tensor<D>, _: Map) -> Result<Tensor<D>, Tensor<D>> {
    Err(x)
}

#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "nothing reads it here")]
pub(crate) enum Mish<'a> {
    Alone,
    Plus(&'a Tensor<1>),
}

pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    _: &Tensor<1>,
    _: &Tensor<1>,
    _: f64,
    _: Option<Mish>,
) -> Result<Tensor<D>, Tensor<D>> {
    Err(x)
}

pub(crate) fn rms_norm<const D: usize>(
    x: Tensor<D>,
    _: &Tensor<1>,
    _: f64,
) -> Result<Tensor<D>, Tensor<D>> {
    Err(x)
}

#[derive(Debug, Clone)]
pub(crate) struct Spectrum(());

impl Spectrum {
    pub fn new(_: &Tensor<3>, _: &Tensor<3>, _: &Tensor<1>, _: usize) -> Option<Self> {
        None
    }

    pub fn forward(&self, _: Tensor<3>) -> Tensor<3> {
        unreachable!("{NONE}")
    }

    pub fn inverse_polar(&self, _: Tensor<3>, _: f32, _: f32) -> Tensor<2> {
        unreachable!("{NONE}")
    }
}

pub(crate) fn sample(_: &Tensor<2>, _: &[Draw]) -> Option<Vec<Picked>> {
    None
}

pub(crate) fn beside(_: &[(Tensor<3>, Tensor<3>)]) -> Option<Tensor<3>> {
    None
}

pub(crate) fn guided_step(
    _: &Tensor<3>,
    _: &Tensor<3>,
    _: usize,
    _: f32,
    _: f32,
) -> Option<Tensor<3>> {
    None
}

pub(crate) fn multiply<const D: usize>(_: &Tensor<D>, _: &Tensor<D>) -> Option<Tensor<D>> {
    None
}
