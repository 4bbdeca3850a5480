//! hift
