//! Memory of keys and values in pages, of which many sequences have some each: a sequence grows
//! without moving, and sequences that begin alike share their beginning.

mod memory;
mod shape;

pub(crate) use memory::PageMemory;
pub(super) use memory::everywhere;
pub(crate) use shape::{HopPages, PAGE, PageRows, PageShape};
