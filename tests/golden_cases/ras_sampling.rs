//! ras_sampling
