//! campplus
