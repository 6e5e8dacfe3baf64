//! .

pub mod name;
