//! Text before it reaches a model: normalising, splitting, and holding a stream's unfinished end.
//!
//! A leaf: knows no model.
