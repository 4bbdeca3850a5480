//! Formulas of chemistry and simple mathematics.

pub mod chemistry;
pub mod elements;
pub mod greek;
pub mod latex;
pub mod left;
pub mod operand;
pub mod operator;
pub mod power;
pub mod signs;
