//! What is written on screens and typed: addresses, names of files, code.

pub mod address;
pub mod domains;
pub mod file;
pub mod identifier;
pub mod network;
pub mod social;
pub mod stamp;
pub mod token;
pub mod version;
